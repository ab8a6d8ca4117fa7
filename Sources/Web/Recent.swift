/// A value that several may ask for: made once for all who ask meanwhile or soon after, so that asking often costs little.
package actor Recent<Value: Sendable> {
    private let age: Duration
    private let make: @Sendable () async -> Value
    private var latest: (value: Value, at: ContinuousClock.Instant)?
    private var making: Task<Value, Never>?

    /// - Parameter age: how long a value is as good as a new one.
    package init(_ age: Duration = .milliseconds(250), make: @escaping @Sendable () async -> Value) {
        (self.age, self.make) = (age, make)
    }

    package func value() async -> Value {
        if let latest, latest.at.duration(to: .now) < age { return latest.value }
        if let making { return await making.value }
        let task = Task { [make] in await make() }
        making = task
        let value = await task.value
        (latest, making) = ((value, .now), nil)
        return value
    }
}
