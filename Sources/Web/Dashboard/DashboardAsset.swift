import Hummingbird
import NIOCore

/// One of the files of which the page is made. They are in the program: there is nothing to install beside it.
package struct DashboardAsset: Sendable {
    package let path: String
    package let type: String
    package let text: String

    package static let all = [
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
