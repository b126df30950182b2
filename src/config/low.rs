//! Low configuration: what was written, by whichever source, in one ordered list.

use std::collections::HashMap;

use super::{Action, ConfigError, Origin, Warning, Written, expand, ini, magic, registry};

/// Bounds for what a configuration may make the reader do.
const MOST_OPTIONS: usize = 100_000;
const DEEPEST: usize = 16;
const MOST_FILES: usize = 256;
const LARGEST_FILE: u64 = 4 << 20;

/// The list while it is being read. Options that concern the reading itself act here, so that what `ini` names
/// is inserted in its place.
pub struct Low<'a> {
    pub written: Vec<Written>,
    pub warnings: Vec<Warning>,
    pub action: Option<Action>,
    /// Names that `set` made up: nobody mistook them for options.
    pub placeholders: Vec<String>,
    environment: &'a [(String, String)],
    depth: usize,
    files: usize,
    /// The file that `:section` without a name stands for.
    last_file: Option<String>,
    /// The first file, which the upper-case magic variables describe.
    first: Option<magic::File>,
}

impl<'a> Low<'a> {
    pub fn new(environment: &'a [(String, String)]) -> Low<'a> {
        Low {
            written: Vec::new(),
            warnings: Vec::new(),
            action: None,
            placeholders: Vec::new(),
            environment,
            depth: 0,
            files: 0,
            last_file: None,
            first: None,
        }
    }

    pub fn push(&mut self, name: &str, value: Option<&str>, origin: &Origin) -> Result<(), ConfigError> {
        if self.written.len() >= MOST_OPTIONS {
            return Err(ConfigError::new(origin, format!("more than {MOST_OPTIONS} options"), ""));
        }
        let option =
            Written { name: name.to_owned(), value: value.map(str::to_owned), origin: origin.clone() };
        self.written.push(option);
        match registry::find(name).map(|row| row.name) {
            Some("help") => self.action = Some(Action::Help),
            Some("version") => self.action = Some(Action::Version),
            Some("ini") => self.read_ini(value, origin)?,
            Some("set" | "set-placeholder") => self.set(name, value, origin)?,
            Some(format @ ("xml" | "yaml" | "json" | "config" | "include" | "inherit")) => {
                return Err(ConfigError::new(
                    origin,
                    format!("option \"{format}\" is not supported yet"),
                    USE_INI,
                ));
            }
            _ => {}
        }
        Ok(())
    }

    pub fn warn(&mut self, origin: &Origin, text: impl Into<String>) {
        self.warnings.push(Warning::new(origin, text));
    }

    /// `UWSGI_…` and `RWSGI_…` variables; the latter stand for the same options and come last.
    pub fn environment(&mut self) -> Result<(), ConfigError> {
        for prefix in ["UWSGI_", "RWSGI_"] {
            for (variable, value) in self.environment {
                if let Some(name) =
                    variable.strip_prefix(prefix).filter(|_| !NO_OPTIONS.contains(&variable.as_str()))
                {
                    let name = name.to_ascii_lowercase().replace('_', "-");
                    self.push(&name, Some(value), &Origin::Environment(variable.clone()))?;
                }
            }
        }
        Ok(())
    }

    /// Keywords of `rwsgi.serve()`: option names with underscores.
    pub fn keywords(&mut self, keywords: &[(String, Option<String>)]) -> Result<(), ConfigError> {
        for (keyword, value) in keywords {
            let name = keyword.replace('_', "-");
            let name = if registry::find(&name).is_none() { keyword } else { &name };
            if registry::find(name).is_none() {
                let (message, remedy) = unknown(keyword);
                return Err(ConfigError::new(&Origin::Keyword, message, remedy.replace('-', "_")));
            }
            self.push(name, value.as_deref(), &Origin::Keyword)?;
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: Option<&str>, origin: &Origin) -> Result<(), ConfigError> {
        let pair = value.and_then(|text| text.split_once('='));
        let Some((key, value)) = pair.map(|(key, value)| (key.trim(), value.trim())) else {
            return Err(ConfigError::new(
                origin,
                format!("option \"{name}\" sets nothing"),
                "write NAME=VALUE",
            ));
        };
        if name != "set" && registry::find(key).is_some() {
            let remedy = format!("write set = {key}={value}");
            return Err(ConfigError::new(
                origin,
                format!("placeholder \"{key}\" is the name of an option"),
                remedy,
            ));
        }
        self.placeholders.push(key.to_owned());
        self.nested(origin, |low| low.push(key, Some(value), origin))
    }

    /// Reads `FILE`, `FILE:SECTION` or `:SECTION` in place.
    pub fn read_ini(&mut self, value: Option<&str>, origin: &Origin) -> Result<(), ConfigError> {
        let Some(value) = value.filter(|text| !text.is_empty()) else {
            return Err(ConfigError::new(
                origin,
                "option \"ini\": needs a value",
                "write the name of a file",
            ));
        };
        let value = expand::one(value, &self.written, self.environment, origin)?;
        let (path, section) = self.split_section(&value, origin)?;
        self.files += 1;
        if self.files > MOST_FILES {
            return Err(ConfigError::new(origin, format!("more than {MOST_FILES} files are read"), LOOP));
        }
        let text = read(&path, origin)?;
        self.last_file = Some(path.clone());
        // Without a name, as in ":section", `%o` is empty.
        let given = if value.starts_with(':') { "" } else { &path };
        let file = magic::File::new(given, &path, section.as_deref());
        self.first.get_or_insert_with(|| file.clone());
        self.nested(origin, |low| ini::read(low, &text, &path, section.as_deref(), &file))
    }

    pub fn first_file(&self) -> Option<&magic::File> {
        self.first.as_ref()
    }

    fn split_section(&self, value: &str, origin: &Origin) -> Result<(String, Option<String>), ConfigError> {
        let is_file = !value.contains(':') || std::fs::metadata(value).is_ok();
        let Some((path, section)) = value.rsplit_once(':').filter(|_| !is_file) else {
            return Ok((value.to_owned(), None));
        };
        if value.contains("://") {
            return Err(ConfigError::new(origin, format!("cannot read \"{value}\" yet"), USE_INI));
        }
        let path = match (path, &self.last_file) {
            ("", Some(last)) => last.clone(),
            ("", None) => {
                let remedy = format!("write FILE{value}");
                return Err(ConfigError::new(
                    origin,
                    format!("\"{value}\" names a section, but no file was read"),
                    remedy,
                ));
            }
            _ => path.to_owned(),
        };
        Ok((path, Some(section.to_owned()).filter(|name| !name.is_empty())))
    }

    fn nested(
        &mut self,
        origin: &Origin,
        read: impl FnOnce(&mut Self) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        if self.depth >= DEEPEST {
            return Err(ConfigError::new(
                origin,
                format!("files name each other {DEEPEST} levels deep"),
                LOOP,
            ));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }
}

const USE_INI: &str = "write the configuration to an ini file";
const LOOP: &str = "look for a file that includes itself";

/// Variables with such a prefix that are no options, as in uWSGI.
const NO_OPTIONS: &[&str] = &[
    "UWSGI_RELOADS",
    "UWSGI_VASSALS_DIR",
    "UWSGI_EMPEROR_FD",
    "UWSGI_BROODLORD_NUM",
    "UWSGI_EMPEROR_FD_CONFIG",
    "UWSGI_EMPEROR_PROXY",
    "UWSGI_JAIL_PID",
    "UWSGI_ORIGINAL_PROC_NAME",
];

/// `name` stands without the value that it must have; `help` says what the value is for.
pub fn needs_value(origin: &Origin, name: &str, help: &str) -> ConfigError {
    let example = match origin {
        Origin::CommandLine => format!("--{name} VALUE"),
        _ => format!("{name} = VALUE"),
    };
    ConfigError::new(origin, format!("option \"{name}\" needs a value"), format!("write {example} ({help})"))
}

/// What is wrong with a name that no option has, and what to do.
pub fn unknown(name: &str) -> (String, String) {
    let remedy = registry::suggest(name).map(|likely| format!("did you mean \"{likely}\"?"));
    (format!("unknown option \"{name}\""), remedy.unwrap_or_else(|| "see the list of options".to_owned()))
}

fn read(path: &str, origin: &Origin) -> Result<String, ConfigError> {
    let bytes = bounded(path, LARGEST_FILE).map_err(|why| {
        let remedy =
            "the path is relative to the current directory; in a file, %d is the directory of that file";
        let remedy = if path.starts_with('/') { "" } else { remedy };
        ConfigError::new(origin, format!("cannot read \"{path}\": {why}"), remedy)
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The content of a file of at most `most` bytes, or what is wrong with it.
pub fn bounded(path: &str, most: u64) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("it has more than {most} bytes"));
    }
    Ok(bytes)
}

/// Where each name was written first: that is what `%(name)` reads.
pub fn index(written: &[Written]) -> HashMap<&str, usize> {
    let mut first = HashMap::with_capacity(written.len());
    for (i, option) in written.iter().enumerate() {
        first.entry(option.name.as_str()).or_insert(i);
    }
    first
}
