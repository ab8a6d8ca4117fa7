/// Files of whole pages of which most bytes are zero, in few bytes: what fuzzers change is then nearly always
/// something. The number of pages (1 byte), then pieces: place (UInt16, little-endian), length (1 byte), bytes. Any
/// bytes are an image.
enum SparseImage {
    static let page = 4096
    static let maxPages = 16

    static func decode(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        guard let first = bytes.first else { return [] }
        var image = [UInt8](repeating: 0, count: (Int(first) % maxPages + 1) * page)
        var rest = bytes.dropFirst()
        while rest.count > 3 {
            let head = Array(rest.prefix(3))
            let (place, length) = (Int(head[0]) | Int(head[1]) << 8, Int(head[2]))
            rest = rest.dropFirst(3)
            if place < image.count {
                let piece = rest.prefix(min(length, image.count - place))
                image.replaceSubrange(place..<place + piece.count, with: piece)
            }
            rest = rest.dropFirst(length)
        }
        return image
    }

    /// - Returns: nil if it has too many pages.
    static func encode(_ image: [UInt8]) -> [UInt8]? {
        guard image.count.isMultiple(of: page), (1...maxPages).contains(image.count / page) else { return nil }
        var bytes = [UInt8(image.count / page - 1)]
        var place = 0
        while place < image.count {
            guard image[place] != 0 else {
                place += 1
                continue
            }
            // Up to the last byte before a long row of zeros.
            var (end, next) = (place + 1, place + 1)
            while next < image.count, next - place < 255, next - end < 8 {
                if image[next] != 0 { end = next + 1 }
                next += 1
            }
            bytes += [UInt8(place & 0xff), UInt8(place >> 8), UInt8(end - place)]
            bytes += image[place..<end]
            place = end
        }
        return bytes
    }
}
