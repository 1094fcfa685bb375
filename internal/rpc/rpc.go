// Package rpc is what stands between HTTP and a service's handlers: codecs, interceptors, REST transcoding, and the shape of
// errors and answers in each protocol. It is the one package, with the edge, that knows Connect and Vanguard by their traps.
//
// What it promises:
//
//   - Connect (JSON, binary and GET), gRPC, gRPC-Web and REST are answered on one port by the same handlers behind the same
//     interceptors. A request that does not decode reaches no handler in any of them.
//   - Whatever fails leaves with a reason of the closed list in proto/domicile/errors/v1, as a google.rpc.ErrorInfo of the domain
//     "domicile.dev", also when it is a library that refuses. The reason decides the HTTP status over REST and Connect.
//   - No text of a library and no part of a request is ever sent back: what does not come from this project is replaced.
//   - JSON is strict: unknown fields are refused. Unknown fields of binary messages are dropped before a handler sees them.
package rpc
