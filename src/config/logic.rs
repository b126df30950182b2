//! Blocks: `if-…` to `endif`, `for…` to `endfor`. As in uWSGI they cannot stand in each other, and a loop
//! repeats each line by itself.

use std::path::Path;

use super::low::{Low, MAX_OPTIONS};
use super::rows::is_built_in;
use super::{ConfigError, Origin};

/// What stands for the item at hand in the values of a block.
pub const ITEM: &str = "%(_)";

pub struct Block {
    pub name: &'static str,
    pub origin: Origin,
    test: Test,
}

enum Test {
    /// It holds or not; `%(_)` is the text, and stays where there is none.
    Fixed(bool, Option<String>),
    /// Depends on the options so far, and so is asked at every line.
    Option {
        name: String,
        value: Option<String>,
        negated: bool,
    },
    Each(Vec<String>),
}

/// How often a line is read, and what `%(_)` is each time.
pub enum Turns<'b> {
    None,
    Once(Option<String>),
    Each(&'b [String]),
}

impl Turns<'_> {
    pub fn items(&self) -> impl Iterator<Item = Option<&str>> {
        let (once, each) = match self {
            Turns::None => (None, [].as_slice()),
            Turns::Once(item) => (Some(item.as_deref()), [].as_slice()),
            Turns::Each(items) => (None, *items),
        };
        once.into_iter().chain(each.iter().map(|item| Some(item.as_str())))
    }
}

impl Block {
    pub fn turns(&self, low: &Low<'_>) -> Turns<'_> {
        match &self.test {
            Test::Fixed(true, item) => Turns::Once(item.clone()),
            Test::Fixed(false, _) => Turns::None,
            Test::Each(items) if items.is_empty() => Turns::None,
            Test::Each(items) => Turns::Each(items),
            Test::Option { name, value, negated } => {
                once(compare(low.value_of(name), value.as_deref(), *negated))
            }
        }
    }

    /// The word that closes it.
    pub fn end(&self) -> &'static str {
        if self.name.starts_with("for") { "endfor" } else { "endif" }
    }
}

fn once((holds, item): (bool, Option<String>)) -> Turns<'static> {
    if holds { Turns::Once(item) } else { Turns::None }
}

/// Words that close a block; `end` is no option, but uWSGI takes it.
pub fn is_end(name: &str) -> bool {
    matches!(name, "end" | "endif" | "end-if" | "endfor" | "end-for")
}

/// The block that the option `name` (as its row has it) opens.
pub fn block(
    low: &mut Low<'_>,
    name: &'static str,
    value: &str,
    origin: &Origin,
) -> Result<Block, ConfigError> {
    let value = low.resolve(value, origin)?;
    let test = match name {
        "for" => Test::Each(value.split(' ').filter(|item| !item.is_empty()).map(str::to_owned).collect()),
        "for-times" => Test::Each(times(&value, origin)?),
        "for-glob" => Test::Each(paths(low, &value, origin)?),
        "for-readline" => Test::Each(lines(low, &value, origin)?),
        _ => condition(low, name, value, origin)?,
    };
    Ok(Block { name, origin: origin.clone(), test })
}

fn condition(low: &mut Low<'_>, name: &str, value: String, origin: &Origin) -> Result<Test, ConfigError> {
    let subject = name.trim_start_matches("if-").trim_start_matches("not-");
    let negated = name.starts_with("if-not-");
    let holds = match subject {
        "env" => {
            let (name, wanted) = split(&value);
            let (holds, item) = compare(low.variable(name), wanted, negated);
            return Ok(Test::Fixed(holds, item));
        }
        "opt" => {
            let (name, wanted) = split(&value);
            low.used.insert(name.to_owned());
            return Ok(Test::Option { name: name.to_owned(), value: wanted.map(str::to_owned), negated });
        }
        "reload" => low.variable("UWSGI_RELOADS").is_some(),
        "exists" => std::fs::symlink_metadata(&value).is_ok(),
        "file" => Path::new(&value).is_file(),
        "dir" => Path::new(&value).is_dir(),
        "plugin" => is_built_in(&value),
        "hostname" => hostname() == value,
        "hostname-match" => matches_hostname(&value, origin)?,
        _ => false,
    };
    let item = Some(value).filter(|_| subject != "reload");
    Ok(Test::Fixed(holds != negated, item))
}

/// `NAME` or `NAME=VALUE`.
fn split(text: &str) -> (&str, Option<&str>) {
    text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)))
}

/// Whether what is there is what is wanted, and what `%(_)` is then.
fn compare(found: Option<&str>, wanted: Option<&str>, negated: bool) -> (bool, Option<String>) {
    let is_it = found.is_some_and(|found| wanted.is_none_or(|wanted| wanted == found));
    (is_it != negated, found.map(str::to_owned))
}

/// As uWSGI: 1 to the number.
fn times(text: &str, origin: &Origin) -> Result<Vec<String>, ConfigError> {
    let number: u64 = text.trim().parse().map_err(|_| {
        let message = format!("option \"for-times\": \"{text}\" is not a whole number");
        ConfigError::new(origin, message, "write how often the lines are read, such as 4")
    })?;
    if number > MAX_OPTIONS as u64 {
        return Err(too_many("for-times", number, origin));
    }
    Ok((1..=number).map(|i| i.to_string()).collect())
}

fn too_many(name: &str, number: u64, origin: &Origin) -> ConfigError {
    let message = format!(
        "option \"{name}\": a configuration has at most {MAX_OPTIONS} options, this one has {number} turns"
    );
    ConfigError::new(origin, message, "repeat less often")
}

/// As uWSGI asks glob(3): directories end with a slash, and a pattern that fits nothing stands for itself.
fn paths(low: &Low<'_>, pattern: &str, origin: &Origin) -> Result<Vec<String>, ConfigError> {
    let found = if low.sealed { Some(Vec::new()) } else { super::glob::glob(pattern, MAX_OPTIONS) };
    let Some(found) = found else {
        let message = format!("\"{pattern}\" fits too many files");
        return Err(ConfigError::new(origin, message, "write a narrower pattern"));
    };
    if found.is_empty() {
        return Ok(vec![pattern.to_owned()]);
    }
    let marked = |path: String| if Path::new(&path).is_dir() { path + "/" } else { path };
    Ok(found.into_iter().map(marked).collect())
}

fn lines(low: &Low<'_>, path: &str, origin: &Origin) -> Result<Vec<String>, ConfigError> {
    const MAX_BYTES: usize = 4 << 20;
    let bytes = low.fetch(path, MAX_BYTES).map_err(|why| {
        ConfigError::new(origin, format!("option \"for-readline\": cannot read \"{path}\": {why}"), "")
    })?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = text.lines().take(MAX_OPTIONS + 1).map(str::to_owned).collect();
    if lines.len() > MAX_OPTIONS {
        Err(too_many("for-readline", lines.len() as u64, origin))
    } else {
        Ok(lines)
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

fn matches_hostname(pattern: &str, origin: &Origin) -> Result<bool, ConfigError> {
    let wrong = |e: regex::Error| {
        ConfigError::new(origin, format!("\"{pattern}\" is no regular expression: {e}"), "")
    };
    Ok(regex::Regex::new(pattern).map_err(wrong)?.is_match(&hostname()))
}
