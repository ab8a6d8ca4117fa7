/// Which lists transactions read and append to. Some lists are hot; every list is followed by a new one when enough has
/// been appended to it, so that lists, and with them messages and the check, stay small.
public struct ListTraffic: Sendable {
    /// How many lists there are, which are popular, and what is done with them.
    public struct Shape: Sendable {
        /// Lists that are in use at a time.
        public var lists: Int
        /// The first so many of them are hot: they get `hotPercent` of the operations.
        public var hotLists: Int
        /// How many of a hundred operations go to hot lists alone; the others go to all lists.
        public var hotPercent: Int
        /// How many of a hundred operations append; the others only read.
        public var appendPercent: Int
        /// A transaction has from one to so many operations, each number as often.
        public var maxOperations: Int
        /// Of one list, after which another takes its place.
        public var appendsPerList: Int

        /// Without hot lists all are equally popular.
        /// - Precondition: at least one list, no more hot ones than there are, at least one operation and one append.
        public init(
            lists: Int, hotLists: Int = 0, hotPercent: Int = 0, appendPercent: Int = 50, maxOperations: Int = 4,
            appendsPerList: Int = 64
        ) {
            precondition(lists >= 1 && (0...lists).contains(hotLists) && maxOperations >= 1 && appendsPerList >= 1)
            (self.lists, self.hotLists, self.hotPercent) = (lists, hotLists, hotPercent)
            (self.appendPercent, self.maxOperations, self.appendsPerList) = (
                appendPercent, maxOperations, appendsPerList
            )
        }
    }

    /// Reads the list under a key, and appends to it if there is a value.
    public struct Step: Hashable, Sendable {
        /// Which list.
        public let key: String
        /// What is appended after the read; nil for nothing.
        public let value: UInt64?
        /// Values must differ from all others under the same key.
        public init(key: String, value: UInt64?) { (self.key, self.value) = (key, value) }
    }

    private struct Slot: Sendable {
        var key: String
        var generation = 0
        var appends = 0
    }

    private let shape: Shape
    private let name: @Sendable (Int, Int) -> String
    private var slots: [Slot]
    private var lastValue: UInt64 = 0
    /// Of all lists so far.
    public private(set) var keys: [String]

    /// - Parameter name: of the list in a place, and of its followers: 0, 1, …; different for each.
    public init(_ shape: Shape, name: @escaping @Sendable (_ place: Int, _ generation: Int) -> String) {
        (self.shape, self.name) = (shape, name)
        keys = (0..<shape.lists).map { name($0, 0) }
        slots = keys.map { Slot(key: $0) }
    }

    private mutating func newValue() -> UInt64 {
        lastValue += 1
        return lastValue
    }

    /// The next transaction.
    public mutating func next(using random: inout some RandomNumberGenerator) -> [Step] {
        (0..<Int.random(in: 1...shape.maxOperations, using: &random)).map { _ in
            let isHot = shape.hotLists > 0 && Int.random(in: 0..<100, using: &random) < shape.hotPercent
            let place = Int.random(in: 0..<(isHot ? shape.hotLists : shape.lists), using: &random)
            guard Int.random(in: 0..<100, using: &random) < shape.appendPercent else {
                return Step(key: slots[place].key, value: nil)
            }
            let step = Step(key: slots[place].key, value: newValue())
            slots[place].appends += 1
            if slots[place].appends >= shape.appendsPerList {
                let generation = slots[place].generation + 1
                slots[place] = Slot(key: name(place, generation), generation: generation)
                keys.append(slots[place].key)
            }
            return step
        }
    }

    /// The same once more, after it had no effect: a transaction of its own, so with values of its own.
    public mutating func again(_ steps: [Step]) -> [Step] {
        steps.map { Step(key: $0.key, value: $0.value == nil ? nil : newValue()) }
    }

    /// What a history says of a transaction: an append, too, tells what list it found.
    /// - Parameter read: what each step found; nil where that is not known.
    public static func operations(_ steps: [Step], read: [[UInt64]]? = nil) -> [ListHistory.Operation] {
        var operations: [ListHistory.Operation] = []
        for (i, step) in steps.enumerated() {
            operations.append(.read(key: step.key, read.flatMap { i < $0.count ? $0[i] : nil }))
            if let value = step.value { operations.append(.append(key: step.key, value: value)) }
        }
        return operations
    }
}
