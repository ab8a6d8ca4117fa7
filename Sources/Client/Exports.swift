// Whoever uses the client needs keys, amounts, encodings and the cluster's manifest: one import brings all.
@_exported import ManifestFile
@_exported import Messages
@_exported import Randomness
