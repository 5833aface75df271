//! The page for people: three files in the binary, and the figures that they show.
//!
//! Nothing on it comes from elsewhere, and a browser is told so: scripts and styles are files of
//! this node, and no other page may frame it.

use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use quipu_wire::http::route::Endpoint;
use stdx::hash::hash64;

use crate::http::api::NodeApi;
use crate::http::respond::{Answer, JSON};

/// One file of the page.
struct File {
    text: &'static str,
    media_type: &'static str,
}

const PAGE: File =
    File { text: include_str!("page/index.html"), media_type: "text/html; charset=utf-8" };
const SCRIPT: File =
    File { text: include_str!("page/app.js"), media_type: "text/javascript; charset=utf-8" };
const STYLE: File =
    File { text: include_str!("page/style.css"), media_type: "text/css; charset=utf-8" };

/// What the page may do: its own files and figures, and the picture within its own text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Answers with a file or the figures.
pub(crate) async fn answer(node: &impl NodeApi, endpoint: Endpoint, head: &Parts) -> Answer {
    match endpoint {
        Endpoint::PageScript => file(&SCRIPT, head),
        Endpoint::PageStyle => file(&STYLE, head),
        Endpoint::Live => {
            let mut answer = Answer::of(node.live().await, JSON);
            answer.headers = vec![
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
                (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            ];
            answer
        }
        _ => file(&PAGE, head),
    }
}

/// A file, or nothing where the client has it: it asks each time, so that a new version of the node
/// is never seen through the files of an old one.
fn file(file: &File, head: &Parts) -> Answer {
    let tag = format!("\"{:016x}\"", hash64(0, file.text.as_bytes()));
    let has_it =
        head.headers.get(IF_NONE_MATCH).is_some_and(|has| has.as_bytes() == tag.as_bytes());
    let text = if has_it { "" } else { file.text };
    let mut answer = Answer::of(text.as_bytes().to_vec(), file.media_type);
    if has_it {
        answer.status = StatusCode::NOT_MODIFIED;
    }
    let fixed: [(HeaderName, &'static str); 4] = [
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    let fixed = fixed.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value)));
    answer.headers = fixed.collect();
    answer.headers.extend(HeaderValue::from_str(&tag).map(|tag| (ETAG, tag)));
    answer
}
