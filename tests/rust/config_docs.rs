//! What is generated from the rows, compared with what is in the repository. `RWSGI_BLESS=1` rewrites it.

use std::path::Path;
use std::process::Command;

use rwsgi::config::*;

fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("RWSGI_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "{name} is not what the rows say; RWSGI_BLESS=1 cargo test rewrites it");
}

#[test]
fn the_page_of_options() {
    compare("docs/options.md", &options_md());
}

#[test]
fn the_page_of_http_names_each_field_that_comes_once() {
    let page = include_str!("../../docs/http.md").to_lowercase();
    for (name, _) in rwsgi::proto::http::singletons::NAMES {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn the_man_page_is_one() {
    let page = man();
    for row in registry::all().iter().filter(|r| matches!(r.status, Status::Works | Status::Accepted(_))) {
        assert!(page.contains(&format!("\\-\\-{}\\fR", row.name.replace('-', "\\-"))), "{}", row.name);
    }
    assert!(page.lines().all(|line| !line.starts_with('\'')), "a line is a command by mistake");
}

#[test]
fn completions_are_scripts() {
    for (shell, program) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
        let script = completion(shell);
        for name in ["harakiri", "max-requests", "http-socket"] {
            assert!(script.contains(name), "{program}: {name}");
        }
        // Where the shell is installed, it says whether it can read the script.
        if let Ok(output) = Command::new(program).args(["-n", "-c", &script]).output() {
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    for (words, offered) in [
        ("--harakiri-v", "--harakiri-verbose"),
        ("top --", "--once --json --interval"),
        ("stacks --w", "--worker"),
        ("profile --", "--seconds --hz --worker --output"),
    ] {
        let ask = format!("COMP_WORDS=(rwsgi {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _rwsgi");
        let script = format!("{}{ask}; echo \"${{COMPREPLY[@]}}\"", completion(Shell::Bash));
        if let Ok(output) = Command::new("bash").args(["-c", &script]).output() {
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), offered, "{words}");
        }
    }
}

/// Each mistake of the page: a file, perhaps a command line, and what is said.
#[test]
fn the_page_of_mistakes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mistakes.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let directory = std::env::temp_dir().join(format!("rwsgi-mistakes-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut sections = page.split("\n## ");
    let mut out = sections.next().unwrap().to_owned();
    for section in sections {
        let said = said(section, &directory);
        let (head, tail) = section.split_once("```text\n").unwrap();
        let (_, tail) = tail.split_once("```").unwrap();
        out += &format!("\n## {head}```text\n{said}```{tail}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(page.matches("\n## ").count() >= 10);
    compare("docs/mistakes.md", &out);
}

fn block<'a>(section: &'a str, language: &str) -> Option<&'a str> {
    section.split_once(&format!("```{language}\n"))?.1.split("```").next()
}

fn said(section: &str, directory: &Path) -> String {
    let file = directory.join("site.ini").to_string_lossy().into_owned();
    std::fs::write(&file, block(section, "ini").unwrap()).unwrap();
    let line = block(section, "sh").unwrap_or("rwsgi --ini site.ini");
    let arguments = line.split_whitespace().skip(1).map(|word| word.replace("site.ini", &file)).collect();
    let environment = vec![("HOME".to_owned(), "/root".to_owned())];
    let text = match load(&Sources { arguments, environment, ..Sources::default() }) {
        Ok(loaded) => loaded.warnings.iter().map(|w| format!("warning: {w}\n")).collect(),
        Err(error) => format!("rwsgi: {error}\n"),
    };
    assert!(!text.is_empty(), "nothing is said: {section}");
    text.replace(&file, "site.ini")
}
