import Hummingbird
import NIOCore

/// One of the files of which the page is made. They are in the program: there is nothing to install beside it.
struct DashboardAsset: Sendable {
    let path: String
    let type: String
    let text: String

    static let all = [
        DashboardAsset(path: "/", type: "text/html; charset=utf-8", text: dashboardPage),
        DashboardAsset(path: "/app.css", type: "text/css; charset=utf-8", text: dashboardStyle),
        DashboardAsset(path: "/app.js", type: "text/javascript; charset=utf-8", text: dashboardScript),
        DashboardAsset(path: "/icon.svg", type: "image/svg+xml", text: dashboardIcon),
    ]

    var response: Response {
        Response(
            status: .ok, headers: SafeHeaders.fields(type), body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}
