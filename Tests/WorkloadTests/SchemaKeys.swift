import Testing

/// Holds the keys of a document against a JSON Schema, which says nothing of keys that it does not know.
struct SchemaKeys {
    let root: [String: Any]
    /// Objects with fewer lists and objects around them must have all keys that are described, the others those that
    /// are required.
    let optionalsAbove: Int

    init(root: [String: Any], optionalsAbove: Int) { (self.root, self.optionalsAbove) = (root, optionalsAbove) }

    /// Ascending; empty if they are the same.
    func differences(from document: Any) throws -> [String] {
        try differences(document, root, at: "$", depth: 0).sorted()
    }

    private func differences(_ value: Any, _ schema: [String: Any], at place: String, depth: Int) throws -> [String] {
        let schema = try resolved(schema)
        if let items = value as? [Any] {
            let inner = try #require(schema["items"] as? [String: Any], "\(place)")
            return try items.flatMap { try differences($0, inner, at: place + "[]", depth: depth + 1) }
        }
        guard let object = value as? [String: Any] else { return [] }
        if let inner = schema["additionalProperties"] as? [String: Any] {
            return try object.flatMap { try differences($0.value, inner, at: place + ".*", depth: depth + 1) }
        }
        let known = try #require(schema["properties"] as? [String: [String: Any]], "\(place)")
        let required = try #require(schema["required"] as? [String], "\(place)")
        let wanted = depth < optionalsAbove ? Set(known.keys) : Set(required)
        var out = wanted.subtracting(object.keys).map { "\(place).\($0): never written" }
        for (key, item) in object {
            guard let inner = known[key], inner["description"] is String else {
                out.append("\(place).\(key): not described")
                continue
            }
            if !wanted.contains(key) { out.append("\(place).\(key): not required") }
            out += try differences(item, inner, at: "\(place).\(key)", depth: depth + 1)
        }
        return out
    }

    private func resolved(_ schema: [String: Any]) throws -> [String: Any] {
        guard let reference = schema["$ref"] as? String else { return schema }
        let name = reference.split(separator: "/").last.map(String.init) ?? ""
        let definitions = try #require(root["$defs"] as? [String: Any])
        return try #require(definitions[name] as? [String: Any], "\(reference)")
    }
}
