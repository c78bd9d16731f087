//! TLS from PEM files.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::ConfigError;

/// Reads a certificate chain (the server's own first) and its key.
pub fn acceptor(certificates: &Path, key: &Path) -> Result<TlsAcceptor, ConfigError> {
    let bad = |path: &Path, why: String| ConfigError::Tls(path.to_owned(), why);
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect)
        .map_err(|error| bad(certificates, words(error, "certificate")))?;
    if chain.is_empty() {
        return Err(bad(certificates, words(PemError::NoItemsFound, "certificate")));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, words(error, "private key")))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => bad(
                key,
                format!("this key does not belong to the first certificate in {}", certificates.display()),
            ),
            rustls::Error::InvalidCertificate(_) => bad(certificates, error.to_string()),
            _ => bad(key, error.to_string()),
        })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn words(error: PemError, wanted: &str) -> String {
    match error {
        PemError::Io(error) => error.to_string(),
        PemError::NoItemsFound => format!("there is no {wanted} in it; PEM is expected"),
        other => format!("it holds no {wanted} in PEM: {other}"),
    }
}
