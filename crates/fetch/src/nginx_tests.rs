//! Against the server most images come from: HTTP/2, TLS and client
//! certificates as nginx does them. Skips, loudly, where there is no nginx.

use std::{
    fs,
    io::{self, Read as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use image::Source as _;
use model::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair,
};

use crate::{HttpSource, Identity, Pace, Request, Trust};

/// A running nginx with a file of 3 MiB.
struct Nginx {
    folder: tempfile::TempDir,
    /// HTTP/2 with TLS; the same for those with a certificate; plain.
    ports: [u16; 3],
}

fn body() -> Vec<u8> {
    (0..3_u32 << 20).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1] ^ at.to_le_bytes()[2]).collect()
}

impl Nginx {
    fn start() -> Option<Self> {
        if Command::new("nginx").arg("-v").output().is_err() {
            eprintln!("SKIPPED: no nginx here (apt-get install nginx-light), so nobody to speak HTTP/2 with");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        certificates(folder.path());
        fs::write(folder.path().join("image.raw"), body()).expect("written");
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
        let server = Self { folder, ports: [free(), free(), free()] };
        fs::write(server.path("nginx.conf"), server.configuration()).expect("written");
        server.command(&[]);
        Some(server)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// It is in the background, and listens, when this returns.
    fn command(&self, arguments: &[&str]) {
        let configuration = self.path("nginx.conf");
        let mut nginx = Command::new("nginx");
        let output =
            nginx.arg("-p").arg(self.folder.path()).arg("-c").arg(configuration).args(arguments).output();
        let output = output.expect("nginx runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn configuration(&self) -> String {
        let folder = self.folder.path().display();
        let [h2, mutual, plain] = self.ports;
        let tls = "ssl_certificate server.pem; ssl_certificate_key server.key";
        format!(
            "pid {folder}/pid; error_log {folder}/error.log; user root; worker_processes 1; \
             events {{}} \
             http {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; \
             fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e; root {folder}; \
             server {{ listen 127.0.0.1:{h2} ssl http2; {tls}; \
             location / {{ if ($server_protocol != HTTP/2.0) {{ return 426; }} }} }} \
             server {{ listen 127.0.0.1:{mutual} ssl http2; {tls}; ssl_client_certificate ca.pem; \
             ssl_verify_client on; }} \
             server {{ listen 127.0.0.1:{plain}; \
             location /down {{ return 302 http://127.0.0.1:{plain}/image.raw; }} \
             location /up {{ return 302 https://127.0.0.1:{h2}/image.raw; }} }} }}"
        )
    }

    fn request(&self, place: usize, name: &str) -> Request {
        let scheme = if place == 2 { "http" } else { "https" };
        let url = format!("{scheme}://127.0.0.1:{}/{name}", self.ports[place]);
        let pace = Pace { retries: 1, ..Pace::default() };
        Request { pace, ..Request::new(vec![url], Trust::Bundle(self.path("ca.pem"))) }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.command(&["-s", "stop"]);
    }
}

/// An authority, and a server and a client it vouches for.
fn certificates(folder: &Path) {
    let key = || KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, key()).expect("an authority");
    fs::write(folder.join("ca.pem"), authority.pem()).expect("written");
    for (name, subject, usage) in [
        ("server", "127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth),
        ("client", "client", ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let key = key();
        let mut params = CertificateParams::new(vec![subject.to_owned()]).expect("a name");
        params.extended_key_usages = vec![usage];
        // Not the authority's: OpenSSL takes it for signed by itself then.
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &authority).expect("signed");
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).expect("written");
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("written");
    }
}

fn all(request: Request) -> Result<Vec<u8>, String> {
    let told = |err: anyhow::Error| format!("{err:#}");
    let mut source = HttpSource::open(request).map_err(|err| told(err.into()))?;
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).map_err(|err| told(err.into()))?;
    Ok(bytes)
}

#[test]
fn nginx_gives_images_by_http2_and_to_those_it_knows() {
    let Some(nginx) = Nginx::start() else { return };
    assert!(all(nginx.request(0, "image.raw")).expect("HTTP/2") == body());
    assert!(all(nginx.request(2, "up")).expect("redirected to TLS") == body());

    // An answer that waits does not keep parts from coming on its connection.
    let mut source = HttpSource::open(nginx.request(0, "image.raw")).expect("opened");
    let mut part = vec![0; 1 << 20];
    source.random().expect("ranges").read_exact_at(Bytes(1 << 20), &mut part).expect("read");
    assert!(part == body()[1 << 20..2 << 20]);
    assert!(io::Read::bytes(source).map(|byte| byte.expect("read")).eq(body()), "and then all of it");

    let identity = |key| Some(Identity { certificate: nginx.path("client.pem"), key: nginx.path(key) });
    let known = Request { identity: identity("client.key"), ..nginx.request(1, "image.raw") };
    assert!(all(known).expect("known by its certificate") == body());
    let unknown = all(nginx.request(1, "image.raw")).expect_err("nobody");
    assert!(unknown.contains("400"), "{unknown}");
    let broken = Request { identity: identity("ca.pem"), ..nginx.request(1, "image.raw") };
    assert!(all(broken).expect_err("no key").contains("client certificate"));
}

#[test]
fn a_server_that_is_not_believed_is_asked_once_and_gives_nothing() {
    let Some(nginx) = Nginx::start() else { return };
    let nobody = Trust::Bundle(nginx.path("nothing"));
    let stranger = all(Request { trust: nobody, ..nginx.request(0, "image.raw") }).expect_err("unknown");
    assert!(stranger.contains("TLS is refused") && stranger.contains("UnknownIssuer"), "{stranger}");
    let mut misnamed = nginx.request(0, "image.raw");
    misnamed.urls = vec![misnamed.urls[0].replace("127.0.0.1", "localhost")];
    let misnamed = all(misnamed).expect_err("another name");
    assert!(misnamed.contains("TLS is refused"), "{misnamed}");
    assert!(
        all(Request { trust: Trust::Anybody, ..nginx.request(0, "image.raw") }).expect("insecure") == body()
    );
}
