//! Low configuration: what was written, by whichever source, in one ordered list.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::format::Format;
use super::logic::{Block, Turns};
use super::templates::{self, Template};
use super::{
    Action, Caller, ConfigError, Origin, Warning, Written, actions, expand, logic, magic, registry, source,
};

/// Bounds for what a configuration may make the reader do.
pub const MAX_OPTIONS: usize = 100_000;
const MAX_BYTES: usize = 16 << 20;
const MAX_DEPTH: usize = 16;

/// The list while it is being read. Options that concern the reading itself act here, so that what `ini` names
/// is inserted in its place.
pub struct Low<'a> {
    pub written: Vec<Written>,
    /// Lines of a block whose condition does not hold.
    pub skipped: Vec<Written>,
    pub warnings: Vec<Warning>,
    pub action: Option<Action>,
    /// Names that `set` introduced: they are not misspelled options.
    pub placeholders: HashSet<String>,
    /// Names that references read so far.
    pub used: HashSet<String>,
    pub messages: Vec<String>,
    /// What to read instead when this configuration is wrong.
    pub fallback: Option<String>,
    pub files: Files,
    pub declared: HashMap<String, Rc<Template>>,
    /// What comes behind everything else: `inherit`, and options made by `declare-option2`.
    pub later: Vec<Later>,
    pub context: actions::Context,
    pub environment: &'a [(String, String)],
    /// Nothing outside is read: no file, no command, no network.
    pub sealed: bool,
    variables: HashMap<&'a str, &'a str>,
    /// Where each name was written first.
    index: HashMap<String, usize>,
    block: Option<Rc<Block>>,
    /// The lines of a block are being read in: they are in no block themselves.
    in_turn: bool,
    depth: usize,
    bytes: usize,
    /// What references that were resolved while reading have grown to.
    expanded: usize,
}

/// What is known about the files that were read.
#[derive(Default)]
pub struct Files {
    pub count: usize,
    pub bytes: usize,
    /// The file of each format that `:section` without a name stands for.
    pub last: HashMap<Format, String>,
    /// The first file, which the upper-case magic variables describe.
    pub first: Option<magic::File>,
    pub latest: Option<magic::File>,
    /// Names of what is put before and behind the text of each file.
    pub before: Vec<(String, Origin)>,
    pub after: Vec<(String, Origin)>,
}

pub enum Later {
    Inherit(String, Origin),
    Option(String, String, Origin),
}

impl<'a> Low<'a> {
    pub fn new(environment: &'a [(String, String)]) -> Low<'a> {
        Low {
            written: Vec::new(),
            skipped: Vec::new(),
            warnings: Vec::new(),
            action: None,
            placeholders: HashSet::new(),
            used: HashSet::new(),
            messages: Vec::new(),
            fallback: None,
            files: Files::default(),
            declared: HashMap::new(),
            later: Vec::new(),
            context: actions::Context::default(),
            environment,
            sealed: false,
            variables: environment.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect(),
            index: HashMap::new(),
            block: None,
            in_turn: false,
            depth: 0,
            bytes: 0,
            expanded: 0,
        }
    }

    /// Adds an option, as often as the block around it says, and acts on it.
    pub fn push(&mut self, name: &str, value: Option<&str>, origin: &Origin) -> Result<(), ConfigError> {
        self.context.check(name, origin)?;
        if !self.in_turn {
            if logic::is_end(name) {
                self.block = None;
            } else if let Some(block) = self.block.clone() {
                return self.take_turns(&block, name, value, origin);
            }
        }
        self.add(name, value, origin)
    }

    fn take_turns(
        &mut self,
        block: &Block,
        name: &str,
        value: Option<&str>,
        origin: &Origin,
    ) -> Result<(), ConfigError> {
        let turns = block.turns(self);
        if let Turns::None = turns {
            return self.skip(name, value, origin);
        }
        self.in_turn = true;
        let result = turns.items().try_for_each(|item| match (value, item) {
            (Some(value), Some(item)) if value.contains(logic::ITEM) => {
                self.add(name, Some(&value.replace(logic::ITEM, item)), origin)
            }
            _ => self.add(name, value, origin),
        });
        self.in_turn = false;
        result
    }

    fn skip(&mut self, name: &str, value: Option<&str>, origin: &Origin) -> Result<(), ConfigError> {
        let option = self.count(name, value, origin)?;
        self.skipped.push(option);
        Ok(())
    }

    fn add(&mut self, name: &str, value: Option<&str>, origin: &Origin) -> Result<(), ConfigError> {
        let option = self.count(name, value, origin)?;
        self.index.entry(option.name.clone()).or_insert(self.written.len());
        self.written.push(option);
        actions::act(self, name, value, origin)
    }

    /// One option more, if there may be one.
    fn count(&mut self, name: &str, value: Option<&str>, origin: &Origin) -> Result<Written, ConfigError> {
        if self.written.len() + self.skipped.len() >= MAX_OPTIONS {
            let remedy = "look for a loop that repeats too often";
            return Err(ConfigError::new(origin, format!("more than {MAX_OPTIONS} options"), remedy));
        }
        self.bytes += name.len() + value.map_or(0, str::len);
        if self.bytes > MAX_BYTES {
            return Err(ConfigError::new(origin, "the options have more than 16 MiB together", ""));
        }
        Ok(Written { name: name.to_owned(), value: value.map(str::to_owned), origin: origin.clone() })
    }

    pub fn warn(&mut self, origin: &Origin, text: impl Into<String>) {
        self.warnings.push(Warning::new(origin, text));
    }

    /// The options up to an end word belong to `block`.
    pub fn open(&mut self, block: Block) -> Result<(), ConfigError> {
        if let Some(outer) = &self.block {
            let message = format!("\"{}\" stands inside \"{}\" ({})", block.name, outer.name, outer.origin);
            let remedy = format!("blocks cannot stand in each other; close \"{}\" before", outer.name);
            return Err(ConfigError::new(&block.origin, message, remedy));
        }
        self.block = Some(Rc::new(block));
        Ok(())
    }

    /// Says so when the block at the end of a file or of everything was never closed.
    pub fn warn_unclosed(&mut self, place: &str, is_here: impl Fn(&Origin) -> bool) {
        if let Some(block) = self.block.clone().filter(|block| !self.in_turn && is_here(&block.origin)) {
            let text = format!(
                "\"{}\" is not closed{place}; write {} behind its last line",
                block.name,
                block.end()
            );
            self.warn(&block.origin.clone(), text);
        }
    }

    /// What stands in a file, or behind a URL.
    pub fn fetch(&self, name: &str, most: usize) -> Result<Vec<u8>, String> {
        if self.sealed { Err(SEALED.to_owned()) } else { source::fetch(name, most) }
    }

    /// A value that is needed while reading, its references resolved with what is known by then.
    pub fn resolve(&mut self, value: &str, origin: &Origin) -> Result<String, ConfigError> {
        let known = expand::Known {
            written: &self.written,
            index: &self.index,
            variables: &self.variables,
            sealed: self.sealed,
        };
        expand::one(value, &known, &mut self.used, &mut self.expanded, origin)
    }

    /// The value of the first option of that name so far.
    pub fn value_of(&self, name: &str) -> Option<&str> {
        let option = &self.written[*self.index.get(name)?];
        Some(option.value.as_deref().unwrap_or("true"))
    }

    pub fn variable(&self, name: &str) -> Option<&'a str> {
        self.variables.get(name).copied()
    }

    /// `UWSGI_…` and `RWSGI_…` variables; the latter stand for the same options and come last.
    pub fn read_environment(&mut self) -> Result<(), ConfigError> {
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

    /// Keywords of a call: option names with underscores.
    pub fn read_keywords(
        &mut self,
        keywords: &[(String, Option<String>)],
        caller: Caller,
    ) -> Result<(), ConfigError> {
        let origin = Origin::Keyword(caller);
        for (keyword, value) in keywords {
            let name = keyword.replace('_', "-");
            let name = if registry::find(&name).is_none() { keyword } else { &name };
            if registry::find(name).is_none() {
                let (message, remedy) = unknown(keyword);
                return Err(ConfigError::new(&origin, message, remedy.replace('-', "_")));
            }
            self.push(name, value.as_deref(), &origin)?;
        }
        Ok(())
    }

    /// Every source has been read.
    pub fn finish(&mut self) -> Result<(), ConfigError> {
        self.warn_unclosed("", |origin| !matches!(origin, Origin::File { .. }));
        self.block = None;
        while !self.later.is_empty() {
            for later in std::mem::take(&mut self.later) {
                match later {
                    Later::Inherit(file, origin) => {
                        self.nested(&origin, |low| super::files::include(low, &file, &origin))?;
                    }
                    Later::Option(name, value, origin) => {
                        self.nested(&origin, |low| templates::stand_for(low, &name, &value, &origin))?;
                    }
                }
            }
        }
        Ok(())
    }

    pub fn nested(
        &mut self,
        origin: &Origin,
        read: impl FnOnce(&mut Self) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        if self.depth >= MAX_DEPTH {
            return Err(ConfigError::new(
                origin,
                format!("files name each other {MAX_DEPTH} levels deep"),
                super::files::LOOP,
            ));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }
}

/// Why nothing is read when only a text is looked at.
pub const SEALED: &str = "nothing outside of this text is read here";

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
    let remedy = match registry::suggest(name) {
        Some(likely) => format!("did you mean \"{likely}\"?"),
        None => without_equals(name).unwrap_or_else(|| "see the list of options".to_owned()),
    };
    (format!("unknown option \"{name}\""), remedy)
}

/// `env NAME = x` for `env = NAME=x`.
fn without_equals(name: &str) -> Option<String> {
    let (option, rest) = name.split_once(char::is_whitespace)?;
    registry::find(option)?;
    Some(format!("the name ends at the first \"=\"; write {option} = {}=…", rest.trim()))
}

/// Where each name was written first: that is what `%(name)` reads.
pub fn index(written: &[Written]) -> HashMap<String, usize> {
    let mut first = HashMap::with_capacity(written.len());
    for (i, option) in written.iter().enumerate() {
        if !first.contains_key(&option.name) {
            first.insert(option.name.clone(), i);
        }
    }
    first
}
