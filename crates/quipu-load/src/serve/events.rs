//! Bodies of answers: bytes, or the news of a test as server-sent events.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::serve::desk::Test;
use crate::serve::progress::Progress;
use crate::serve::result::TestResult;

/// How long silence lasts at most: proxies cut off what says nothing for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The body of an answer.
pub(crate) enum Content {
    /// Bytes.
    Whole(Full<Bytes>),
    /// News as they come.
    News(News),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Pin::new(bytes).poll_frame(cx),
            Self::News(news) => news.poll_next(cx).map(|event| event.map(|e| Ok(Frame::data(e)))),
        }
    }
}

/// The next event and what comes after it.
type Step = Pin<Box<dyn Future<Output = Option<(Bytes, Feed)>> + Send>>;

/// Events, made one at a time when the client takes them: nothing waits in a queue.
pub(crate) struct News {
    next: Option<Step>,
}

impl News {
    /// The news of a test that is under way.
    pub(crate) fn of(test: Arc<Test>) -> Self {
        let (progress, is_new) = (test.watch(), true);
        Self { next: Some(Box::pin(Feed::Test { test, progress, is_new }.step())) }
    }

    /// The end of one that has ended.
    pub(crate) fn ended(result: Arc<TestResult>) -> Self {
        Self { next: Some(Box::pin(Feed::End(result).step())) }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(step) = &mut self.next else { return Poll::Ready(None) };
        let event = ready!(step.as_mut().poll(cx));
        let Some((bytes, feed)) = event else {
            self.next = None;
            return Poll::Ready(None);
        };
        self.next = Some(Box::pin(feed.step()));
        Poll::Ready(Some(bytes))
    }
}

/// What is still to be told.
enum Feed {
    /// News of a test; a new watcher is told at once how far it is.
    Test { test: Arc<Test>, progress: watch::Receiver<Progress>, is_new: bool },
    /// Its end.
    End(Arc<TestResult>),
    /// Nothing.
    Nothing,
}

impl Feed {
    async fn step(self) -> Option<(Bytes, Self)> {
        match self {
            Self::Nothing => None,
            Self::End(result) => Some((event("end", &json!(*result)), Self::Nothing)),
            Self::Test { test, progress, is_new } => Some(news(test, progress, is_new).await),
        }
    }
}

/// Waits for news of a test.
async fn news(
    test: Arc<Test>,
    mut progress: watch::Receiver<Progress>,
    is_new: bool,
) -> (Bytes, Feed) {
    let waits = !is_new && progress.borrow().end.is_none();
    // The sender lives as long as the test that is held here.
    if waits && timeout(KEEP_ALIVE, progress.changed()).await.is_err() {
        let silence = Bytes::from_static(b": still there\n\n");
        return (silence, Feed::Test { test, progress, is_new });
    }
    let told = progress.borrow_and_update().clone();
    match &told.end {
        Some(end) if !is_new => (event("end", &json!(**end)), Feed::Nothing),
        _ => {
            let bytes = event("progress", &told.json(&test.outline));
            (bytes, Feed::Test { test, progress, is_new: false })
        }
    }
}

fn event(name: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}
