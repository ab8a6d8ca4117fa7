/// Which keys are read, written and appended to, one at a time. Every text is written once, so that a read tells what
/// was there; and texts begin anew now and then, so that they stay short.
public struct KeyValueTraffic: Sendable {
    /// How many keys there are, which are popular, and what is done with them.
    public struct Shape: Sendable {
        /// At least one.
        public var keys: Int
        /// The first so many of them are hot: they get `hotPercent` of the operations.
        public var hotKeys: Int
        /// How many of a hundred operations go to hot keys alone; the others go to all.
        public var hotPercent: Int
        /// How many of a hundred operations read.
        public var getPercent: Int
        /// How many of a hundred operations put; the rest append.
        public var putPercent: Int

        /// - Precondition: one key at least, and no more hot ones than there are.
        public init(keys: Int, hotKeys: Int = 0, hotPercent: Int = 0, getPercent: Int = 50, putPercent: Int = 15) {
            precondition(keys >= 1 && (0...keys).contains(hotKeys))
            (self.keys, self.hotKeys, self.hotPercent) = (keys, hotKeys, hotPercent)
            (self.getPercent, self.putPercent) = (getPercent, putPercent)
        }
    }

    private let shape: Shape
    private var lastText = 0
    /// All of them.
    public let keys: [String]

    /// - Parameter name: of the key in a place.
    public init(_ shape: Shape, name: (_ place: Int) -> String) {
        self.shape = shape
        keys = (0..<shape.keys).map(name)
    }

    private mutating func newText() -> String {
        lastText += 1
        return "x\(lastText)y"
    }

    /// The next operation; what a get reads is not known.
    public mutating func next(using random: inout some RandomNumberGenerator) -> KeyValueAction {
        let isHot = shape.hotKeys > 0 && Int.random(in: 0..<100, using: &random) < shape.hotPercent
        let key = keys[Int.random(in: 0..<(isHot ? shape.hotKeys : shape.keys), using: &random)]
        let kind = Int.random(in: 0..<100, using: &random)
        if kind < shape.getPercent { return .get(key: key, nil) }
        let text = newText()
        return kind < shape.getPercent + shape.putPercent ? .put(key: key, value: text) : .append(key: key, value: text)
    }

    /// The same once more, after it had no effect: with a text of its own.
    public mutating func again(_ action: KeyValueAction) -> KeyValueAction {
        switch action {
        case .get(let key, _): .get(key: key, nil)
        case .put(let key, _): .put(key: key, value: newText())
        case .append(let key, _): .append(key: key, value: newText())
        }
    }
}
