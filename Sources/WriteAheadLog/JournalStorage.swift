/// A folder of named files, as the journal needs it: the same journal runs on a disk and on a simulated one.
///
/// What is written is durable after the next `sync` of that file, names after the next `syncDirectory`; until then a
/// power loss keeps or drops every page and every name by itself.
public protocol JournalStorage {
    /// For error messages.
    var path: String { get }

    /// In no order; empty if the folder does not exist.
    func names() throws(JournalError) -> [String]

    /// The whole file as the *disk* holds it. After a failed sync a kernel shows pages from its cache that never
    /// reached the disk; they are not to be believed.
    /// - Returns: of a file that is longer than any segment, only the beginning, more than a segment has.
    func read(_ name: String) throws(JournalError) -> [UInt8]

    /// In bytes.
    func size(of name: String) throws(JournalError) -> Int

    /// A new file of `size` zero bytes, with its space allocated, so that writing within it changes no size.
    func create(_ name: String, size: Int) throws(JournalError)

    /// Within the size that the file was made with; durable after the next `sync`.
    func write(_ bytes: [UInt8], to name: String, at offset: Int) throws(JournalError)

    /// Returns when everything written to the file is durable (fdatasync).
    func sync(_ name: String) throws(JournalError)

    /// It may be back after a power loss before the next `syncDirectory`.
    func remove(_ name: String) throws(JournalError)

    /// The bytes, and what is durable of them, stay as they are; the name is durable after the next `syncDirectory`.
    func rename(_ old: String, to new: String) throws(JournalError)

    /// Returns when creations, removals and renamings are durable.
    func syncDirectory() throws(JournalError)

    /// Nothing more is written to the file for now: what is held for that may go.
    func release(_ name: String)
}

extension JournalStorage {
    /// Holds nothing.
    public func release(_ name: String) {}
}
