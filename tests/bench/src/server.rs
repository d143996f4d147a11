//! nginx on the loopback interface, with a configuration and a folder of its own.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

/// A local nginx serves in much less.
const START: Duration = Duration::from_secs(10);
/// Clock ticks a second in `/proc/*/stat`, on every Linux of today.
const TICKS: f64 = 100.0;

/// An HTTP server, ended when dropped.
pub(crate) struct Server {
    child: Child,
    port: u16,
    _prefix: tempfile::TempDir,
}

impl Server {
    /// Serve the files in `root`.
    ///
    /// # Errors
    /// When nginx is missing or does not start.
    pub(crate) fn start(root: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let prefix = tempfile::tempdir()?;
        let config = prefix.path().join("nginx.conf");
        fs::write(&config, configuration(&root.canonicalize()?, prefix.path(), port))?;
        let child = Command::new("nginx")
            .arg("-p")
            .arg(prefix.path())
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start nginx; run scripts/install-deps.sh bench")?;
        let server = Self { child, port, _prefix: prefix };
        let deadline = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(Instant::now() < deadline, "nginx does not serve on port {port}");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Where `file` is.
    pub(crate) fn url(&self, file: &str) -> String {
        format!("http://127.0.0.1:{}/{file}", self.port)
    }

    /// Seconds of processor that nginx and its worker have used.
    pub(crate) fn cpu_s(&self) -> f64 {
        let main = self.child.id();
        let children = format!("/proc/{main}/task/{main}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        let pids = children.split_whitespace().map(str::to_owned).chain([main.to_string()]);
        pids.filter_map(|pid| ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).sum::<f64>()
            / TICKS
    }
}

/// User and system time, fields 14 and 15 of `/proc/<pid>/stat` (proc(5)).
fn ticks(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn configuration(root: &Path, prefix: &Path, port: u16) -> String {
    let (root, prefix) = (root.display(), prefix.display());
    format!(
        "daemon off; user root; worker_processes 1; pid {prefix}/pid; error_log {prefix}/error.log;
events {{}}
http {{
  access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;
  client_body_temp_path {prefix}/b; proxy_temp_path {prefix}/p; fastcgi_temp_path {prefix}/f;
  uwsgi_temp_path {prefix}/u; scgi_temp_path {prefix}/s;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"
    )
}

impl Drop for Server {
    fn drop(&mut self) {
        // The worker ends with its master, which a TERM asks to; a KILL would leave the worker.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn processor_time_is_read_past_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 5";
        assert_eq!(super::ticks(stat), Some(200.0));
        assert_eq!(super::ticks("nonsense"), None);
    }
}
