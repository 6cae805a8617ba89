//! An issuer of tokens with keys of its own: discovery, a JWK Set, and signatures.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use safeconduct_credential::jose::{Algorithm, KeySet, SigningKey};
use safeconduct_wire::json::{from_serde, to_bytes};
use serde_json::{Value as Json, json};

/// Seconds since 1970.
pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// A signing key, different for each number.
pub fn key(number: u8) -> SigningKey {
    SigningKey::from_secret(Algorithm::Es256, &[number; 32]).unwrap()
}

/// A JWK Set of these keys.
pub fn jwks(keys: &[SigningKey]) -> Json {
    let set = KeySet::of(keys.iter().map(|key| key.public().clone())).unwrap();
    serde_json::from_slice(&to_bytes(&set.jwks())).unwrap()
}

/// A token that ends in five minutes, with these claims beside `iat` and `exp`.
pub fn token(key: &SigningKey, typ: &str, claims: &Json) -> String {
    let mut all = json!({ "iat": now(), "exp": now() + 300 });
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    key.sign(typ, &from_serde(&all)).unwrap()
}

/// An issuer that is asked over HTTP, until it is stopped.
#[derive(Debug)]
pub struct Issuer {
    address: SocketAddr,
    keys: Arc<Mutex<String>>,
    fetched: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Issuer {
    /// Starts one with that key.
    pub fn start(key: SigningKey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let keys = Arc::new(Mutex::new(jwks(&[key]).to_string()));
        let issuer = Self { address, keys, fetched: Arc::default(), stopped: Arc::default() };
        let url = issuer.url();
        let (keys, fetched, stopped) =
            (Arc::clone(&issuer.keys), Arc::clone(&issuer.fetched), Arc::clone(&issuer.stopped));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let document = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
                let _ = answer(stream.unwrap(), &document.to_string(), &keys, &fetched);
            }
        });
        issuer
    }

    /// What it calls itself.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Publishes these keys instead.
    pub fn publish(&self, keys: &[SigningKey]) {
        *self.keys.lock().unwrap() = jwks(keys).to_string();
    }

    /// How often its keys were fetched.
    pub fn fetched(&self) -> usize {
        self.fetched.load(Ordering::SeqCst)
    }

    /// It answers nobody any more.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(
    stream: TcpStream,
    document: &str,
    keys: &Mutex<String>,
    fetched: &AtomicUsize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(&stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let body = if first.contains("/keys") {
        fetched.fetch_add(1, Ordering::SeqCst);
        keys.lock().unwrap().clone()
    } else {
        document.to_owned()
    };
    let length = body.len();
    write!(
        &stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}
