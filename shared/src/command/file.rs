//! `file.*`: write, delete, make folders, change modes.
use super::context::Context;
use super::describe::{data, parameters, present, request};
use crate::{AbsolutePath, Content, FileMode, Group, Owner, TemplateName};
use serde::{Deserialize, Serialize};

parameters! {
    /// Parameters of `file.write`.
    pub struct FileWrite {
        /// Where to write.
        path: AbsolutePath,
        /// What the file is to hold.
        content: Content,
        /// Who is to own it; an existing file keeps its own, a new one is root's.
        #[serde(default, deserialize_with = "present")]
        owner: Option<Owner>,
        /// Its group; an existing file keeps its own, a new one is root's.
        #[serde(default, deserialize_with = "present")]
        group: Option<Group>,
        /// Its mode; an existing file keeps its own, a new one is 0644.
        #[serde(default, deserialize_with = "present")]
        mode: Option<FileMode>,
    }
}

data! {
    /// The `data` of `file.write`.
    pub struct FileWritten {
        /// The path that was written.
        path: AbsolutePath,
        /// The size of the content.
        bytes_written: u64,
    }
}

request! {
    /// Parameters of `file.write_template`, as a client writes them.
    pub struct TemplateRequest {
        /// Where to write.
        path: AbsolutePath,
        /// The template's name.
        template: TemplateName,
        /// The template's values.
        context: Context,
        /// Who is to own it; an existing file keeps its own, a new one is root's.
        #[serde(default, deserialize_with = "present")]
        owner: Option<Owner>,
        /// Its group; an existing file keeps its own, a new one is root's.
        #[serde(default, deserialize_with = "present")]
        group: Option<Group>,
        /// Its mode; an existing file keeps its own, a new one is 0644.
        #[serde(default, deserialize_with = "present")]
        mode: Option<FileMode>,
    }
}

parameters! {
    /// `file.write_template` as root sees it: the template's name for the record, and what the frontend made of it.
    pub struct FileWriteTemplate {
        /// Where to write.
        path: AbsolutePath,
        /// The template's name.
        template: TemplateName,
        /// What it was rendered to.
        content: Content,
        /// Who is to own it.
        #[serde(default, deserialize_with = "present")]
        owner: Option<Owner>,
        /// Its group.
        #[serde(default, deserialize_with = "present")]
        group: Option<Group>,
        /// Its mode.
        #[serde(default, deserialize_with = "present")]
        mode: Option<FileMode>,
    }
}

data! {
    /// The `data` of `file.write_template`.
    pub struct TemplateWritten {
        /// The path that was written.
        path: AbsolutePath,
        /// The template's name.
        template: TemplateName,
        /// The size of what it was rendered to.
        bytes_written: u64,
    }
}

parameters! {
    /// Parameters of `file.delete`.
    pub struct FileDelete {
        /// The file to delete.
        path: AbsolutePath,
    }
}

/// Why a command that succeeded had nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// There was nothing of that name.
    NotFound,
    /// It was there already.
    AlreadyExists,
}

data! {
    /// The `data` of `file.delete`.
    pub struct FileDeleted {
        /// The path that was asked for.
        path: AbsolutePath,
        /// Whether a file was deleted.
        deleted: bool,
        sometimes
        /// Why not.
        reason: Reason,
    }
}

fn yes() -> bool {
    true
}

parameters! {
    /// Parameters of `file.mkdir`.
    pub struct FileMkdir {
        /// The folder to make.
        path: AbsolutePath,
        /// Who is to own it; root by default.
        #[serde(default, deserialize_with = "present")]
        owner: Option<Owner>,
        /// Its group; root's by default.
        #[serde(default, deserialize_with = "present")]
        group: Option<Group>,
        /// Its mode; 0755 by default.
        #[serde(default, deserialize_with = "present")]
        mode: Option<FileMode>,
        /// Whether absent parents are made too; true by default.
        #[serde(default = "yes")]
        recursive: bool,
    }
}

data! {
    /// The `data` of `file.mkdir`.
    pub struct FileMade {
        /// The path that was asked for.
        path: AbsolutePath,
        /// Whether a folder was made.
        created: bool,
        sometimes
        /// Why not.
        reason: Reason,
    }
}

parameters! {
    /// Parameters of `file.chmod`.
    pub struct FileChmod {
        /// The file or folder.
        path: AbsolutePath,
        /// The mode to set.
        mode: FileMode,
        /// Whether what lies beneath a folder gets the mode too; false by default.
        #[serde(default)]
        recursive: bool,
    }
}

data! {
    /// The `data` of `file.chmod`.
    pub struct FileChanged {
        /// The path that was asked for.
        path: AbsolutePath,
        /// The mode that was set.
        mode: FileMode,
        /// How many files and folders have it now by this command.
        files_modified: u64,
    }
}
