//! TLS, with a certificate made here: a login and a message through it, who is refused, and files that are not right.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::device::Device;
use crate::journal_files::Scratch;
use crate::process::{address, check, command, start};

const NAME: &str = "chat.example";

/// Files of a server with a certificate of its own.
struct Files {
    scratch: Scratch,
    certificates: PathBuf,
    key: PathBuf,
    certificate: CertificateDer<'static>,
}

fn files(name: &str) -> Files {
    let scratch = Scratch::new(name);
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let (certificates, key) = (scratch.0.join("certificates.pem"), scratch.0.join("key.pem"));
    fs::write(&certificates, cert.pem()).unwrap();
    fs::write(&key, signing_key.serialize_pem()).unwrap();
    Files { scratch, certificates, key, certificate: cert.der().clone() }
}

fn trusting(certificate: Option<CertificateDer<'static>>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificate);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn a_message_goes_through_tls_and_strangers_do_not() {
    let files = files("tls");
    let mut command = command(&files.scratch.0);
    command.arg("--tls-certificates").arg(&files.certificates).arg("--tls-key").arg(&files.key);
    let (mut child, ready) = start(&mut command).await;
    assert_eq!(ready["tls"], true, "{ready}");
    let server = address(&ready);
    let device = |user| {
        let name = ServerName::try_from(NAME).unwrap();
        Device::new(server, user, 1).by_tls(trusting(Some(files.certificate.clone())), name)
    };
    let (mut alice, mut bob) = (device(1), device(2));
    alice.invite(1, 7, &[1, 2]);
    alice.send(2, 7, "hello through TLS");
    alice.until_accepted(2).await;
    bob.until_delivered(b"hello through TLS").await;

    // Who does not know the certificate, or wants another server, ends it themselves.
    for (connector, name) in
        [(trusting(None), NAME), (trusting(Some(files.certificate.clone())), "other.example")]
    {
        let stream = TcpStream::connect(server).await.unwrap();
        let error = connector.connect(ServerName::try_from(name).unwrap(), stream).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    // Who speaks no TLS is told so by an alert, or by the end of the connection; never by a WebSocket.
    let mut plain = TcpStream::connect(server).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(20), plain.read_to_end(&mut answer)).await.unwrap();
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");

    alice.send(3, 7, "still here");
    alice.until_accepted(3).await;
    child.kill().await.unwrap();
}

#[tokio::test]
async fn files_that_are_not_right_are_told() {
    let files = files("tls-files");
    let other = files.scratch.0.join("other.pem");
    let mut command = command(&files.scratch.0);
    command.arg("--tls-certificates").arg(&files.certificates).arg("--tls-key").arg(&other);
    check(&mut command, 2, &["error: ", "other.pem: No such file or directory (os error 2)"]).await;
    fs::write(&other, "no key").unwrap();
    check(&mut command, 2, &["other.pem: there is no private key in it; PEM is expected"]).await;
    fs::copy(&files.certificates, &other).unwrap();
    check(&mut command, 2, &["other.pem: there is no private key in it; PEM is expected"]).await;
    fs::write(&other, "-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n").unwrap();
    check(&mut command, 2, &["other.pem: it holds no private key in PEM: "]).await;
    fs::write(&other, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    check(&mut command, 2, &["other.pem: "]).await;
    fs::write(&other, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let words = "other.pem: this key does not belong to the first certificate in ";
    check(&mut command, 2, &[words, "certificates.pem"]).await;

    fs::copy(&files.key, &other).unwrap();
    fs::copy(&other, &files.certificates).unwrap();
    check(&mut command, 2, &["certificates.pem: there is no certificate in it; PEM is expected"]).await;
    fs::write(&files.certificates, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    check(&mut command, 2, &["certificates.pem: "]).await;
}
