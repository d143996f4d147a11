//! Servers that are not to be believed: each is refused with the reason, and
//! nothing reaches the disk.

use std::{path::PathBuf, sync::Arc};

use bad_server::{Act, File, Server};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};

mod deployment;
use deployment::{MIB, content, deploy, digest, hasty, request};
use fetch::{Request, Trust};
use model::Secret;

/// An authority, and the file that tells of it.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    bundle: PathBuf,
    _dir: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let bundle = dir.path().join("ca.pem");
        std::fs::write(&bundle, certificate.pem()).expect("written");
        Self { issuer: Issuer::new(params, key), bundle, _dir: dir }
    }

    /// A server with a certificate of this authority.
    fn server(&self, name: &str, years: (i32, i32), file: File) -> Server {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate and its key");
        let config = Arc::new(config);
        Server::wrapped("https", [("/image", file)], move |stream| {
            let tls = ServerConnection::new(Arc::clone(&config)).map_err(std::io::Error::other)?;
            Ok(Box::new(StreamOwned::new(tls, stream)))
        })
    }

    fn request(&self, urls: &[String]) -> Request {
        Request { trust: Trust::Bundle(self.bundle.clone()), ..request(urls) }
    }
}

const NOW: (i32, i32) = (2020, 2090);

fn image() -> Vec<u8> {
    content(2 * MIB)
}

#[test]
fn who_is_not_believed_gives_nothing_and_is_told_why() {
    let (ours, others) = (Authority::new(), Authority::new());
    for (what, server, expected) in [
        ("ours", ours.server("127.0.0.1", NOW, File::new(image())), Ok(())),
        ("ours, cut", ours.server("127.0.0.1", NOW, File::new(image()).acts([Act::cut(700_000)])), Ok(())),
        ("of others", others.server("127.0.0.1", NOW, File::new(image())), Err("invalid peer certificate")),
        ("for another name", ours.server("example.org", NOW, File::new(image())), Err("not valid for")),
        ("of the past", ours.server("127.0.0.1", (1999, 2001), File::new(image())), Err("expired")),
        ("of the future", ours.server("127.0.0.1", (2080, 2090), File::new(image())), Err("not valid yet")),
    ] {
        let outcome = deploy(ours.request(&[server.url("/image")]), digest(&image()));
        outcome.check(what, &image(), expected);
        assert!(expected.is_ok() || server.seen().is_empty(), "{what}: it was asked all the same");
    }
}

#[test]
fn whoever_speaks_no_tls_is_an_error() {
    let ours = Authority::new();
    let plain = Server::of(File::new(image()));
    let url = plain.url("/image").replace("http:", "https:");
    let request = Request { pace: hasty(), ..ours.request(&[url]) };
    deploy(request, digest(&image())).check("plain", &image(), Err("/image"));
    assert!(plain.seen().is_empty());
}

/// A redirect from HTTPS to HTTP would show the image, and the token, to everybody.
#[test]
fn nobody_is_led_from_https_to_http() {
    let ours = Authority::new();
    let plain = Server::of(File::new(image()));
    let redirects = File::new(image()).always(Act::redirect(&plain.url("/image")));
    let secure = ours.server("127.0.0.1", NOW, redirects);
    let request = Request {
        authorization: Some(Secret::new("Bearer hunter2")),
        ..ours.request(&[secure.url("/image")])
    };
    deploy(request, digest(&image())).check("a downgrade", &image(), Err("redirect"));
    assert!(plain.seen().is_empty(), "{:#?}", plain.seen());
}
