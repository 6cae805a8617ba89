//! A small HTTP server that answers as it is told, and counts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a path answers.
#[derive(Clone)]
pub(crate) enum Answer {
    Json(String),
    Status(u16),
    Redirect(String),
    /// Bytes without end.
    Huge,
    /// One byte now and then.
    Drip,
    /// Nothing at all.
    Silence,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) port: u16,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    hits: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::serve(None).await
    }

    pub(crate) async fn start_tls(acceptor: TlsAcceptor) -> Self {
        Self::serve(Some(acceptor)).await
    }

    async fn serve(acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, answers: Arc::default(), hits: Arc::default() };
        let answering = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (server, acceptor) = (answering.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => server.answer(stream).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => server.answer(stream).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        server
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn set(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    async fn answer(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<()> {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.ok()?);
        }
        self.hits.fetch_add(1, Ordering::SeqCst);
        let request = String::from_utf8_lossy(&request).into_owned();
        let path = request.split(' ').nth(1)?;
        let answer = self.answers.lock().unwrap().get(path).cloned();
        let head = |status: u16, more: &str| {
            format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{more}\r\n")
        };
        match answer.unwrap_or(Answer::Status(404)) {
            Answer::Json(body) => {
                let length = format!("Content-Length: {}\r\n", body.len());
                stream.write_all(format!("{}{body}", head(200, &length)).as_bytes()).await.ok()?;
            }
            Answer::Status(status) => stream.write_all(head(status, "").as_bytes()).await.ok()?,
            Answer::Redirect(to) => {
                stream
                    .write_all(head(302, &format!("Location: {to}\r\n")).as_bytes())
                    .await
                    .ok()?;
            }
            Answer::Huge => {
                stream.write_all(head(200, "").as_bytes()).await.ok()?;
                loop {
                    stream.write_all(&[b' '; 8192]).await.ok()?;
                }
            }
            Answer::Drip => {
                stream.write_all(head(200, "").as_bytes()).await.ok()?;
                loop {
                    stream.write_all(b" ").await.ok()?;
                    stream.flush().await.ok()?;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            Answer::Silence => std::future::pending::<()>().await,
        }
        stream.shutdown().await.ok()
    }
}
