import Randomness
import ShardState
import Testing

/// Against a dictionary, with keys of every length and many that are alike.
@Suite struct PlaceIndexTests {
    @Test(arguments: [0, 3000]) func itFindsWhatADictionaryFinds(capacity: Int) {
        var random = SplitMix64(seed: 7)
        var (keys, known): ([[UInt8]], [[UInt8]: Int]) = ([], [:])
        var index = PlaceIndex(capacity: capacity)
        for _ in 0..<6000 {
            // Few values, so that many keys are a beginning of another one, or differ in one byte.
            let key = (0..<random.below(40)).map { _ in UInt8(random.below(2)) }
            let found = index.place(PlaceIndex.hash(key)) { keys[$0] == key }
            #expect(found == known[key])
            guard found == nil else { continue }
            known[key] = keys.count
            keys.append(key)
            index.insert(keys.count - 1) { PlaceIndex.hash(keys[$0]) }
        }
        #expect(keys.count > 3000)
        for (key, place) in known { #expect(index.place(PlaceIndex.hash(key)) { keys[$0] == key } == place) }
    }

    /// Each byte counts, and the length: otherwise keys of a kind would all meet.
    @Test func everyByteChangesTheHash() {
        for count in 0..<70 {
            let key = [UInt8](repeating: 0, count: count)
            let hash = PlaceIndex.hash(key)
            #expect(PlaceIndex.hash(key + [0]) != hash)
            for place in key.indices {
                var changed = key
                changed[place] = 1
                #expect(PlaceIndex.hash(changed) != hash, "byte \(place) of \(count)")
            }
        }
    }
}
