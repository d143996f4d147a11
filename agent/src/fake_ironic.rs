//! A control plane that answers what a test tells it to, and remembers what it
//! was asked.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch};

/// How long a test waits for what must come. Only failing tests wait this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

type Script = VecDeque<(u16, String)>;

#[derive(Default)]
struct Book {
    /// Answers by path prefix; the last of each is given again and again.
    scripts: HashMap<&'static str, Script>,
    asked: Vec<Asked>,
}

#[derive(Clone)]
pub(crate) struct FakeIronic {
    pub(crate) address: SocketAddr,
    book: Arc<Mutex<Book>>,
    count: watch::Sender<usize>,
}

impl FakeIronic {
    /// On a free port.
    pub(crate) async fn start() -> Self {
        Self::listening(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// On a port that a test keeps.
    pub(crate) fn listening(listener: TcpListener) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            book: Arc::default(),
            count: watch::Sender::new(0),
        };
        let root = r#"{"default_version":{"id":"v1","min_version":"1.1","version":"1.115"}}"#;
        fake.script("/?", &[(200, root)]);
        let app = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        fake
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answer requests below `prefix` with these, then with the last one forever.
    pub(crate) fn script(&self, prefix: &'static str, answers: &[(u16, &str)]) {
        let script = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        self.book().scripts.insert(prefix, script);
    }

    /// The first `count` requests below `prefix`, as soon as they have come.
    pub(crate) async fn asked(&self, prefix: &str, count: usize) -> Vec<Asked> {
        let mut changes = self.count.subscribe();
        let wait = async {
            loop {
                let all = self.book().asked.clone();
                let found: Vec<Asked> =
                    all.into_iter().filter(|asked| asked.target.starts_with(prefix)).collect();
                if found.len() >= count {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{count} requests for {prefix}"))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(fake): State<FakeIronic>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, 32 << 20).await.unwrap();
    let path = parts.uri.path();
    let target = format!("{path}?{}", parts.uri.query().unwrap_or_default());
    let answer = {
        let mut book = fake.book();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        book.asked.push(Asked { target: target.clone(), headers: parts.headers, body });
        let script = book.scripts.iter_mut().find(|(prefix, _)| target.starts_with(**prefix));
        script
            .map(|(_, script)| if script.len() > 1 { script.pop_front().unwrap() } else { script[0].clone() })
    };
    fake.count.send_modify(|count| *count += 1);
    let (status, body) = answer.unwrap_or((404, "no such thing".to_owned()));
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}
