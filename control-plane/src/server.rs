//! billetd as a whole: open, resume, serve, stop.

use std::{net::TcpListener, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum_server::{Handle, tls_rustls::RustlsConfig};

use crate::{
    api::{self, Api, Passwords},
    metrics::Metrics,
    notary::{LostKey, Notary},
    runner::{Conductor, Settings},
    store::Store,
};

/// How long open requests may take when billetd is asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// What billetd is made of.
#[derive(Debug)]
pub struct Config {
    /// The SQLite file.
    pub database: PathBuf,
    /// Folder with `vmlinuz` and `initramfs`.
    pub ramdisk: Option<PathBuf>,
    /// Folder with images.
    pub images: Option<PathBuf>,
    /// Who may use the API.
    pub htpasswd: Option<PathBuf>,
    /// Certificate and key, PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// What to do when the evidence key is not the one the database knows.
    pub lost_key: LostKey,
    /// How nodes are conducted.
    pub settings: Settings,
}

/// Serve on `listener` until `stop` resolves.
///
/// # Errors
/// When the database, the passwords, the certificate or the socket cannot be used.
pub async fn run(
    config: Config,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let passwords = config.htpasswd.as_deref().map(Passwords::load).transpose()?.map(Arc::new);
    let notary = Notary::open(&config.database)?;
    let store = Store::open(&config.database, notary, config.lost_key).await?;
    let conductor = Conductor::new(store, config.settings, Arc::new(Metrics::default()));
    let api = Api { conductor: conductor.clone(), passwords, ramdisk: config.ramdisk, images: config.images };
    let address = listener.local_addr().context("the listening socket has no address")?;
    listener.set_nonblocking(true).context("the listening socket cannot be used")?;
    conductor.resume().await?;
    let handle = Handle::new();
    tokio::spawn({
        let handle = handle.clone();
        async move {
            stop.await;
            handle.graceful_shutdown(Some(GRACE));
        }
    });
    let app = api::router(api).into_make_service();
    tracing::info!(%address, tls = config.tls.is_some(), "billetd serves");
    match config.tls {
        Some((certificate, key)) => {
            let tls = RustlsConfig::from_pem_file(&certificate, &key)
                .await
                .with_context(|| format!("cannot use {} with {}", certificate.display(), key.display()))?;
            axum_server::from_tcp_rustls(listener, tls)?.handle(handle).serve(app).await?;
        }
        None => axum_server::from_tcp(listener)?.handle(handle).serve(app).await?,
    }
    Ok(())
}
