//! The page for people, in a real browser.

use std::process::Command;

use serde_json::json;

use crate::browser::Browser;
use crate::clients::fresh_node;
use crate::http::{Http, request};
use crate::node::{Node, PATIENCE, poll};
use crate::resp::encode;
use crate::tool;

/// A name that would run as a program if the page took names for anything but text.
const HOSTILE: &str = "<img src=x onerror=alert(1)>";

/// One more than a browser's numbers hold exactly.
const GREAT: i64 = (1 << 53) + 1;

/// Adds to a counter of any name.
fn add(node: &Node, name: &str, delta: i64) {
    let mut socket = node.resp();
    socket.send(&encode(&["INCRBY", name, &delta.to_string()])).expect("the node reads");
    assert!(socket.receive().expect("a reply").int().is_some());
}

fn shows_what_is_counted(browser: &mut Browser, node: &Node) {
    browser.wait_for("state", |text| text == "live");
    assert_eq!(browser.text("counted"), "0");
    add(node, "plain", 5);
    browser.wait_for("counted", |text| text == "1");
    add(node, HOSTILE, GREAT);
    browser.wait_for("counters", |text| text == "2");
    let rows = "[...document.querySelectorAll('#top tr')].map(row => [...row.cells].map(cell => \
                cell.textContent.replaceAll('\u{202f}', '')).slice(0, 2))";
    let expected = json!([[HOSTILE, GREAT.to_string()], ["plain", "5"]]);
    let shown = poll(PATIENCE, || Some(browser.read(rows)).filter(|rows| *rows == expected));
    assert!(shown.is_some(), "{}", browser.read(rows));
    assert_eq!(browser.read("document.images.length"), 0, "a name became a picture");
    let port = node.address("resp").port().to_string();
    browser.wait_for("try-redis", |text| text.contains(&port));
}

fn is_reached_by_keyboard(browser: &mut Browser) {
    let stops = browser.read("document.querySelectorAll('a, button').length");
    let mut reached = Vec::new();
    for _ in 0..stops.as_u64().expect("a number") {
        // The key Tab, as WebDriver writes it.
        browser.press("\u{e004}");
        reached.push(browser.read("document.activeElement.tagName"));
    }
    assert!(reached.iter().all(|tag| tag == "A" || tag == "BUTTON"), "{reached:?}");
}

fn asks_nobody_else_and_complains_of_nothing(browser: &mut Browser, origin: &str) {
    let complaints = browser.log("browser");
    assert!(complaints.is_empty(), "{complaints:?}");
    let asked = browser.asked(origin);
    // The picture of the tab stands in the page itself.
    let stranger = asked.iter().find(|url| !url.starts_with(origin) && !url.starts_with("data:"));
    assert!(stranger.is_none(), "{stranger:?}");
    assert!(asked.len() >= 4, "the browser told of {asked:?} only");
}

#[test]
fn the_page_shows_what_the_node_counts_and_nothing_leaves_it() {
    let Some(mut browser) = Browser::start() else { return };
    let (node, _folder) = fresh_node();
    let origin = format!("http://{}", node.address("http"));
    browser.open(&format!("{origin}/"));
    shows_what_is_counted(&mut browser, &node);
    browser.fits_every_width_and_scheme();
    is_reached_by_keyboard(&mut browser);
    asks_nobody_else_and_complains_of_nothing(&mut browser, &origin);
    drop(node);
    browser.wait_for("state", |text| text.starts_with("no answer for"));
}

#[test]
fn a_file_of_the_page_is_sent_once_and_may_do_little() {
    let (node, _folder) = fresh_node();
    let address = format!("http://{}", node.address("http"));
    let Some(curl) = tool::find("curl") else { return };
    for path in ["/", "/app.js", "/style.css"] {
        let ask = |more: &[&str]| {
            let mut command = Command::new(&curl);
            command.args(["-sS", "-i"]).args(more).arg(format!("{address}{path}"));
            tool::output_of(&mut command)
        };
        let head = ask(&["--head"]).to_lowercase();
        assert!(head.contains("content-security-policy: default-src 'none';"), "{head}");
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
        let again = ask(&["-H", &format!("If-None-Match: {}", tag.trim())]);
        assert!(again.starts_with("HTTP/1.1 304 "), "{again}");
        assert!(again.ends_with("\r\n\r\n"), "nothing is sent again: {again}");
    }
    let mut admin = Http::connect(node.address("admin"));
    assert_eq!(admin.call(&request("GET", "/", "")).status, 404, "the page is for the HTTP port");
}
