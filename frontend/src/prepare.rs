//! What happens to a request before root sees it: `file.write_template` becomes `file.write` of what was rendered here.
//!
//! A template is shipped (built in, its context typed key by key) or an operator's (any context, its values without the
//! characters that mean something in a configuration file). Both run in an engine without a loader, with bounds on time,
//! depth and output.
mod context;
mod custom;
mod engine;
mod error;
mod grammar;
mod lists;
mod nginx_site;
mod php_pool;
mod redis;
#[cfg(test)]
mod tests;

pub use error::Error;

use engine::{engine, render};
use minijinja::Environment;
use reeve_ipc::message::Template;
use reeve_shared::command::{Context, FileWriteTemplate, TemplateRequest};
use reeve_shared::{Content, TemplateName};
use std::collections::BTreeSet;

/// A template that is built in: its name, its text, and what makes a client's context into the template's own.
struct Shipped {
    name: &'static str,
    source: &'static str,
    /// Its keys. The tests have a hostile value of each, or fail.
    keys: &'static [&'static [&'static str]],
    context: fn(&Context) -> Result<minijinja::Value, Error>,
}

/// The templates that clients may name.
const SHIPPED: &[Shipped] = &[nginx_site::PLAIN, nginx_site::TLS, php_pool::POOL, redis::REDIS];
/// Parts of shipped templates. Operators' templates may include them; clients can't name them.
const PARTS: &[(&str, &str)] = &[("nginx/content.conf.tera", include_str!("../../templates/nginx/content.conf.tera"))];

/// The templates of `file.write_template`.
#[derive(Debug)]
pub struct Templates {
    shipped: Environment<'static>,
    /// The operator's, and what is shipped for them to include.
    custom: Environment<'static>,
    /// The names of the operator's.
    names: BTreeSet<TemplateName>,
}

impl Templates {
    /// The shipped templates and these of the operator's; of two of one name the first counts, and it hides a shipped one.
    ///
    /// # Errors
    /// [`Error::Syntax`] with the name and the line of an operator's template that can't be read.
    pub fn new(custom: &[Template]) -> Result<Self, Error> {
        let mut templates = Self { shipped: engine(), custom: engine(), names: BTreeSet::new() };
        let built_in = SHIPPED.iter().map(|template| (template.name, template.source)).chain(PARTS.iter().copied());
        for (name, source) in built_in {
            for engine in [&mut templates.shipped, &mut templates.custom] {
                engine.add_template(name, source).map_err(|error| Error::syntax(name, &error))?;
            }
        }
        for Template { name, source } in custom {
            if templates.names.insert(name.clone()) {
                let added = templates.custom.add_template_owned(name.as_str().to_owned(), source.clone());
                added.map_err(|error| Error::syntax(name.as_str(), &error))?;
            }
        }
        Ok(templates)
    }

    /// Renders what the request asks for.
    ///
    /// # Errors
    /// An unknown template; a key or a value that its template doesn't take; a failure of the rendering itself.
    pub fn prepare(&self, request: TemplateRequest) -> Result<FileWriteTemplate, Error> {
        let TemplateRequest { path, template, context, owner, group, mode } = request;
        let content = self.content(&template, &context)?;
        Ok(FileWriteTemplate { path, template, content, owner, group, mode })
    }

    fn content(&self, template: &TemplateName, context: &Context) -> Result<Content, Error> {
        let name = template.as_str();
        if self.names.contains(template) {
            return render(&self.custom, name, custom::context(name, context)?);
        }
        match SHIPPED.iter().find(|shipped| shipped.name == name) {
            Some(shipped) => render(&self.shipped, name, (shipped.context)(context)?),
            None => Err(Error::UnknownTemplate(name.to_owned())),
        }
    }
}
