import Networks
import StrictInput
import Testing

private func profile(_ text: String) throws(InputProblem) -> NetworkProfile {
    try NetworkProfile(bytes: Array(text.utf8), file: "net.json")
}

@Suite struct NetworkProfileTests {
    @Test(arguments: NetworkProfile.builtIn)
    func whatIsBuiltInIsAsFarThereAsBackAndNamesItsSource(profile: NetworkProfile) {
        #expect(!profile.source.isEmpty && Set(profile.regions).count == profile.regions.count)
        for from in profile.regions.indices {
            for to in profile.regions.indices {
                let link = profile.link(from: from, to: to)
                #expect(link == profile.link(from: to, to: from))
                #expect(link.delay > 0 && link.jitter <= link.delay && link.bytesPerSecond != nil)
                // Across an ocean it is never as near as within.
                #expect(from == to || link.delay > 100 * profile.link(from: from, to: from).delay)
            }
        }
    }

    @Test func theRegionsAreAsFarApartAsWasMeasured() throws {
        let aws = NetworkProfile.aws5Regions
        let ireland = try #require(aws.regions.firstIndex(of: "eu-west-1"))
        let canada = try #require(aws.regions.firstIndex(of: "ca-central-1"))
        let singapore = try #require(aws.regions.firstIndex(of: "ap-southeast-1"))
        let saoPaulo = try #require(aws.regions.firstIndex(of: "sa-east-1"))
        #expect(2 * aws.link(from: ireland, to: canada).delay == 72_240_000)
        #expect(2 * aws.link(from: saoPaulo, to: singapore).delay == 321_090_000)
        #expect(aws.link(from: ireland, to: ireland) == NetworkProfile.lan.link(from: 0, to: 0))
    }

    @Test func membersAreRoundRobinOverTheRegions() {
        let aws = NetworkProfile.aws5Regions
        #expect((0..<7).map(aws.region(ofHost:)) == [0, 1, 2, 3, 4, 0, 1])
        #expect((0..<6).map(aws.region(ofGateway:)) == [0, 1, 2, 3, 4, 0])
        #expect(aws.regionOfClients == 0)
    }

    @Test func theLongestRoundTripIsThatOfThoseWhoAreThere() {
        let aws = NetworkProfile.aws5Regions
        // The fifth region is the farthest from the third.
        #expect(aws.roundTripMilliseconds(hosts: 4, gateways: 1) == 207)
        #expect(aws.roundTripMilliseconds(hosts: 7, gateways: 1) == 322)
        #expect(aws.roundTripMilliseconds(hosts: 4, gateways: 5) == 322)
        #expect(NetworkProfile.lan.roundTripMilliseconds(hosts: 16, gateways: 4) == 0)
    }

    @Test func aNameOrAFileIsChosen() {
        #expect(NetworkChoice("lan") == .builtIn(.lan))
        #expect(NetworkChoice("aws-5-regions") == .builtIn(.aws5Regions))
        #expect(NetworkChoice("net.json") == .file("net.json"))
        #expect(NetworkChoice("./lan") == .file("./lan"))
        #expect(NetworkChoice("wan") == nil && NetworkChoice("") == nil)
    }

    // MARK: Files

    @Test func aFileMaySayAllOfIt() throws {
        let profile = try profile(
            """
            {
              "name": "two sites", "source": "measured by us, 2026-11", "regions": ["north", "south"],
              "round_trip_ms": [[0.2, 80], [81, 0.4]], "jitter_ms": [[0, 1.5], [1, 0]], "loss_percent": 0.01,
              "mbit_per_s": [[10000, 100], [50, 10000]],
              "hosts": ["north", "south", "south", "north"], "gateways": ["south"], "clients": "south"
            }
            """)
        #expect(profile.name == "two sites" && profile.source == "measured by us, 2026-11")
        #expect(profile.regions == ["north", "south"])
        #expect(
            profile.link(from: 0, to: 1)
                == .init(delay: 40_000_000, jitter: 1_500_000, lossPerMillion: 100, bytesPerSecond: 12_500_000))
        #expect(
            profile.link(from: 1, to: 0)
                == .init(delay: 40_500_000, jitter: 1_000_000, lossPerMillion: 100, bytesPerSecond: 6_250_000))
        #expect(profile.link(from: 1, to: 1).delay == 200_000)
        #expect((0..<5).map(profile.region(ofHost:)) == [0, 1, 1, 0, 0])
        #expect((0..<2).map(profile.region(ofGateway:)) == [1, 1])
        #expect(profile.regionOfClients == 1)
    }

    @Test func mostOfAFileMayBeLeftOut() throws {
        let profile = try profile(#"{"name": "x", "regions": ["a"], "one_way_ms": [[40]]}"#)
        #expect(profile.link(from: 0, to: 0) == .init(delay: 40_000_000))
        #expect(profile.source == "net.json" && profile.region(ofHost: 3) == 0 && profile.regionOfClients == 0)
    }

    @Test(arguments: [
        (#"{"name": "x", "regions": ["a"]}"#, "net.json:1:1: no delays; expected round_trip_ms or one_way_ms"),
        (
            #"{"name": "x", "regions": ["a"], "one_way_ms": [[1]], "round_trip_ms": [[1]]}"#,
            "at one_way_ms: round_trip_ms is there too"
        ),
        (#"{"name": "x", "regions": [], "one_way_ms": []}"#, "at regions: no region"),
        (#"{"name": "x", "regions": ["a", "a"], "one_way_ms": []}"#, "at regions[1]: \"a\" is there twice"),
        (#"{"name": "x", "regions": ["a", "b"], "one_way_ms": [[1, 2]]}"#, "at one_way_ms: 1 rows; expected 2"),
        (
            #"{"name": "x", "regions": ["a", "b"], "one_way_ms": [[1, 2], [1]]}"#,
            "at one_way_ms[1]: 1 numbers; expected 2"
        ),
        (
            "{\"name\": \"x\", \"regions\": [\"a\"],\n \"one_way_ms\": [[-1]]}",
            "net.json:2:18, at one_way_ms[0][0]: \"-1\"; expected a number from 0.0 to 10000.0"
        ),
        (#"{"name": "x", "regions": ["a"], "one_way_ms": [[1e9]]}"#, "at one_way_ms[0][0]: \"1e9\""),
        (#"{"name": "x", "regions": ["a"], "one_way_ms": 5}"#, "at one_way_ms: the number 5; expected an array"),
        (
            #"{"name": "x", "regions": ["a"], "one_way_ms": [[1]], "loss_percent": 60}"#,
            "at loss_percent: \"60\"; expected a number from 0.0 to 50.0"
        ),
        (
            #"{"name": "x", "regions": ["a"], "one_way_ms": [[1]], "mbit_per_s": 0}"#,
            "at mbit_per_s: \"0\"; expected a number from 0.1"
        ),
        (#"{"name": "x", "regions": ["a"], "one_way_ms": [[1]], "jitter_ms": "1"}"#, "at jitter_ms: a string"),
        (
            #"{"name": "x", "regions": ["a"], "one_way_ms": [[1]], "hosts": ["b"]}"#,
            "at hosts[0]: no region \"b\"; expected one of a"
        ),
        (#"{"name": "x", "regions": ["a"], "one_way_ms": [[1]], "gateways": []}"#, "at gateways: nobody is placed"),
        (#"{"name": "", "regions": ["a"], "one_way_ms": [[1]]}"#, "at name: \"\"; expected a printable text"),
        (#"{"name": "x", "regions": ["a"], "delay_ms": [[1]]}"#, "at delay_ms: unknown key"),
        ("{", "net.json:1:2"),
    ])
    func whatIsWrongInAFileIsNamedWithItsPlace(text: String, complaint: String) {
        do {
            _ = try profile(text)
            Issue.record("\(text) was taken")
        } catch {
            #expect(error.description.contains(complaint), "\(error)")
        }
    }
}
