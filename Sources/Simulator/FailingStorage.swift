import WriteAheadLog

/// A simulated disk whose power goes before the operation that `operationsLeft` counts down to.
public final class FailingStorage: JournalStorage {
    /// What is written, and what of it survives.
    public let disk: SimulatedJournalStorage
    /// Operations that change something until the power goes; nil while it does not.
    public var operationsLeft: Int?
    /// Whether something failed because the power was gone.
    public private(set) var isDead = false

    /// - Parameter disk: may be what an earlier power loss left.
    public init(_ disk: SimulatedJournalStorage) { self.disk = disk }

    /// For the next start: there is power and space, and nothing fails.
    public func repair() {
        (operationsLeft, isDead) = (nil, false)
        (disk.failsNextSync, disk.failsNextWrite, disk.diskIsFull) = (false, false, false)
    }

    private func step() throws(JournalError) {
        guard let left = operationsLeft else { return }
        guard left > 0 else {
            isDead = true
            throw .storage(.write, path: "without power", errno: 0)
        }
        operationsLeft = left - 1
    }

    // MARK: JournalStorage

    /// The disk's.
    public var path: String { disk.path }
    /// Takes no power.
    public func names() throws(JournalError) -> [String] { disk.names() }
    /// Takes no power.
    public func read(_ name: String) throws(JournalError) -> [UInt8] { try disk.read(name) }
    /// Takes no power.
    public func size(of name: String) throws(JournalError) -> Int { try disk.size(of: name) }
    /// Unless the power is gone.
    public func create(_ name: String, size: Int) throws(JournalError) {
        try step()
        try disk.create(name, size: size)
    }
    /// Unless the power is gone.
    public func write(_ bytes: [UInt8], to name: String, at offset: Int) throws(JournalError) {
        try step()
        try disk.write(bytes, to: name, at: offset)
    }
    /// Unless the power is gone.
    public func sync(_ name: String) throws(JournalError) {
        try step()
        try disk.sync(name)
    }
    /// Unless the power is gone.
    public func remove(_ name: String) throws(JournalError) {
        try step()
        try disk.remove(name)
    }
    /// Unless the power is gone.
    public func rename(_ old: String, to new: String) throws(JournalError) {
        try step()
        try disk.rename(old, to: new)
    }
    /// Unless the power is gone.
    public func syncDirectory() throws(JournalError) {
        try step()
        disk.syncDirectory()
    }
}
