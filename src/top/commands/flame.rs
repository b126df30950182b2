//! A flame graph: a picture in which a call is as wide as the time that was spent in it, and stands upon its caller. Beside
//! it there is a script of a few lines, which shows a call that is clicked in the whole width; the picture is whole without it.

use super::folded::Profile;
use std::collections::BTreeMap;
use std::fmt::Write;

const WIDTH: f64 = 1200.0;
const ROW: f64 = 17.0;
const MARGIN: f64 = 10.0;
const HEAD: f64 = 40.0;
/// What is narrower is left out, in pixels.
const NARROW: f64 = 0.2;
/// Of a letter, on average.
const LETTER: f64 = 6.6;

const SCRIPT: &str = "\
const rects=[...document.querySelectorAll('g[data-x]')];\
function show(x,w){const k=1180/w;for(const g of rects){const a=+g.dataset.x,b=+g.dataset.w;\
const l=Math.max(a,x),r=Math.min(a+b,x+w);g.style.display=r-l>0.0001*w?'':'none';\
const q=g.querySelector('rect'),t=g.querySelector('text');q.setAttribute('x',10+(l-x)*k);\
q.setAttribute('width',Math.max(0,(r-l)*k-0.5));t.setAttribute('x',13+(l-x)*k);\
const n=g.dataset.n,m=Math.floor(((r-l)*k-6)/6.6);t.textContent=m<3?'':n.length<=m?n:n.slice(0,m-1)+'\\u2026';}}\
for(const g of rects)g.addEventListener('click',()=>show(+g.dataset.x,+g.dataset.w));\
document.querySelector('#whole').addEventListener('click',()=>show(0,1180));";

/// Calls of the same name under the same callers.
#[derive(Default)]
struct Call<'a> {
    count: u64,
    calls: BTreeMap<&'a str, Call<'a>>,
}

impl<'a> Call<'a> {
    fn of(profile: &'a Profile) -> Call<'a> {
        let mut root = Call::default();
        for (calls, count) in profile.stacks() {
            root.count += count;
            let mut place = &mut root;
            for call in calls {
                place = place.calls.entry(call).or_default();
                place.count += count;
            }
        }
        root
    }

    fn depth(&self) -> usize {
        1 + self.calls.values().map(Call::depth).max().unwrap_or(0)
    }
}

struct Picture {
    out: String,
    height: f64,
    /// Pixels of a sample.
    scale: f64,
    total: u64,
    hz: f64,
}

pub fn svg(profile: &Profile, hz: f64) -> String {
    let root = Call::of(profile);
    let height = HEAD + ROW * root.depth() as f64 + MARGIN;
    let mut out = String::new();
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" font-family=\"monospace\" font-size=\"11\">\n\
         <style>g[data-x]{{cursor:pointer}} g[data-x]:hover rect{{stroke:#000}} text{{pointer-events:none}}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fffdf5\"/>\n\
         <text x=\"{MARGIN}\" y=\"24\" font-size=\"15\">rwsgi profile: {:.2} s of threads</text>\n\
         <text x=\"{}\" y=\"24\" fill=\"#666\">point at a call for its time, click to see it in the whole width</text>\n\
         <text id=\"whole\" x=\"{}\" y=\"24\" style=\"pointer-events:auto;cursor:pointer\">show all</text>\n",
        root.count as f64 / hz,
        WIDTH / 2.0 - 150.0,
        WIDTH - 80.0,
    );
    let scale = (WIDTH - 2.0 * MARGIN) / root.count.max(1) as f64;
    let mut picture = Picture { out, height, scale, total: root.count, hz };
    picture.push_all("all", &root, 0.0, 0);
    let Picture { mut out, .. } = picture;
    let _ = write!(out, "<script><![CDATA[{SCRIPT}]]></script>\n</svg>\n");
    out
}

impl Picture {
    /// A call at `x` pixels from the left, and what it has called upon it.
    fn push_all(&mut self, name: &str, call: &Call<'_>, x: f64, depth: usize) {
        let width = call.count as f64 * self.scale;
        if width < NARROW {
            return;
        }
        self.push(name, call.count, (x, width), depth);
        let mut x = x;
        for (name, call) in &call.calls {
            self.push_all(name, call, x, depth + 1);
            x += call.count as f64 * self.scale;
        }
    }

    fn push(&mut self, name: &str, count: u64, (x, width): (f64, f64), depth: usize) {
        let y = self.height - MARGIN - ROW * (depth + 1) as f64;
        let (name, percent) = (escaped(name), count as f64 * 100.0 / self.total as f64);
        let seconds = count as f64 / self.hz;
        let _ = writeln!(
            self.out,
            "<g data-x=\"{x:.2}\" data-w=\"{width:.2}\" data-n=\"{name}\"><title>{name}: {seconds:.2} s, {percent:.1} %</title>\
             <rect x=\"{:.2}\" y=\"{y}\" width=\"{:.2}\" height=\"{}\" fill=\"{}\"/><text x=\"{:.2}\" y=\"{}\">{}</text></g>",
            MARGIN + x,
            (width - 0.5).max(0.1),
            ROW - 1.0,
            colour(&name),
            MARGIN + x + 3.0,
            y + 12.0,
            short(&name, width),
        );
    }
}

/// As much of a name as has room.
fn short(name: &str, width: f64) -> String {
    let room = ((width - 6.0) / LETTER).max(0.0) as usize;
    match name.chars().count() {
        _ if room < 3 => String::new(),
        length if length <= room => name.to_owned(),
        // An entity must not be cut: where one is near the end, all of it goes.
        _ => {
            let cut: String = name.chars().take(room - 1).collect();
            let whole =
                cut.rfind('&').filter(|&at| !cut[at..].contains(';')).map_or(&cut[..], |at| &cut[..at]);
            format!("{whole}…")
        }
    }
}

/// Warm, and the same for the same name.
fn colour(name: &str) -> String {
    let hash =
        name.bytes().fold(2_166_136_261_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    format!("rgb({},{},{})", 205 + hash % 50, 90 + (hash >> 8) % 120, 40 + (hash >> 16) % 50)
}

/// For XML. What it cannot hold at all (control characters) is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            character if character.is_control() => out.push('\u{fffd}'),
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_as_wide_as_its_time() {
        let svg = svg(&Profile::parse("requests;f;<g> 30\nrequests;f 10\nother threads;\u{1}h 60\n"), 100.0);
        let width = |name: &str| -> f64 {
            let at = svg.find(&format!("data-n=\"{name}\"")).unwrap_or_else(|| panic!("{name}: {svg}"));
            let before = &svg[..at];
            before[before.rfind("data-w=\"").unwrap() + 8..].split('"').next().unwrap().parse().unwrap()
        };
        assert_eq!(
            (width("all"), width("requests"), width("f"), width("&lt;g&gt;")),
            (1180.0, 472.0, 472.0, 354.0)
        );
        assert_eq!(width("\u{fffd}h"), 708.0);
        assert!(svg.contains("<title>f: 0.40 s, 40.0 %</title>") && svg.contains("1.00 s of threads"));
        let mut reader = quick_xml::Reader::from_str(&svg);
        while !matches!(reader.read_event().unwrap(), quick_xml::events::Event::Eof) {}
    }

    #[test]
    fn an_empty_profile_is_a_picture_too() {
        assert!(svg(&Profile::default(), 100.0).ends_with("</svg>\n"));
    }

    #[test]
    fn names_are_cut_where_there_is_no_room() {
        assert_eq!((short("name", 100.0).as_str(), short("name", 10.0).as_str()), ("name", ""));
        assert_eq!(short("a&lt;bcdefgh", 6.0 + 4.5 * LETTER), "a…");
    }
}
