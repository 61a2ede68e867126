//! `nginx/site.conf.tera` and `nginx/site-ssl.conf.tera`: a web site, without and with TLS.
use super::Shipped;
use super::context::{Fields, context};
use super::engine;
use super::error::Error;
use super::grammar::{CertificatePath, DocumentRoot, Grammar, NginxInclude, SocketPath, Stamp, Timeout};
use super::lists::Domains;
use reeve_shared::SiteName;
use reeve_shared::command::{Context, Value};
use serde::Serialize;

/// A site on port 80.
pub(super) const PLAIN: Shipped = Shipped {
    name: PLAIN_NAME,
    source: include_str!("../../../templates/nginx/site.conf.tera"),
    keys: &[Site::KEYS],
    context: plain,
};
/// A site on port 443, and the way there from port 80.
pub(super) const TLS: Shipped = Shipped {
    name: TLS_NAME,
    source: include_str!("../../../templates/nginx/site-ssl.conf.tera"),
    keys: &[Site::KEYS, Certificate::KEYS],
    context: tls,
};
const PLAIN_NAME: &str = "nginx/site.conf.tera";
const TLS_NAME: &str = "nginx/site-ssl.conf.tera";

context! {
    /// What both sites have.
    Site {
        required {
            site_name: SiteName,
            domains: Domains,
            document_root: DocumentRoot,
        }
        default {
            php_enabled: bool = Value::Bool(false),
            php_timeout: Timeout = Value::Unsigned(300),
        }
        optional {
            php_socket: SocketPath,
            custom_config_file: NginxInclude,
            generated_at: Stamp,
        }
    }
}

context! {
    /// What TLS needs beside.
    Certificate {
        required {
            ssl_certificate: CertificatePath,
            ssl_certificate_key: CertificatePath,
        }
        default {}
        optional {}
    }
}

#[derive(Serialize)]
struct SiteWithTls {
    #[serde(flatten)]
    site: Site,
    #[serde(flatten)]
    certificate: Certificate,
}

fn plain(context: &Context) -> Result<minijinja::Value, Error> {
    let fields = Fields::new(PLAIN_NAME, PLAIN.keys, context)?;
    Ok(engine::value(site(&fields)?))
}

fn tls(context: &Context) -> Result<minijinja::Value, Error> {
    let fields = Fields::new(TLS_NAME, TLS.keys, context)?;
    let whole = SiteWithTls { site: site(&fields)?, certificate: Certificate::read(&fields)? };
    Ok(engine::value(whole))
}

/// A site that runs PHP must say where PHP is: a guess could be another tenant's pool.
fn site(fields: &Fields<'_>) -> Result<Site, Error> {
    let site = Site::read(fields)?;
    if site.php_enabled && site.php_socket.is_none() {
        let (template, expected) = (fields.template, SocketPath::EXPECTED);
        return Err(Error::MissingKey { template, key: "php_socket", expected });
    }
    Ok(site)
}
