import Messages

/// Says of certificates whether they prove what they say. A forecast has one that costs no real time.
public protocol CertificateChecker: Sendable {
    /// It may remember what it has checked.
    mutating func isGenuine(_ certificate: Certificate) -> Bool
}

extension Verifier: CertificateChecker {
    /// Whether f + 1 replicas of the manifest's have signed it.
    public mutating func isGenuine(_ certificate: Certificate) -> Bool { (try? verify(certificate)) != nil }
}
