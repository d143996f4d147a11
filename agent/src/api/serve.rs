//! Callers, one connection each, in HTTP/1.1. `axum::serve` would speak HTTP/2
//! as well, which no conductor does, and 60 KB of the agent would be for it.

use axum::{Router, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};

use super::TlsListener;

/// Serve `router` to whoever `listener` accepts, for ever.
pub(crate) async fn serve(mut listener: TlsListener, router: Router) {
    loop {
        let (connection, _) = listener.accept().await;
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let served = http1::Builder::new().serve_connection(TokioIo::new(connection), service);
            // A caller that breaks off is nobody's fault here.
            if let Err(err) = served.await {
                tracing::debug!(%err, "a caller broke off");
            }
        });
    }
}
