// Package rpc is what stands between HTTP and whoever answers a call, be it an edge, a guard or a service: how a request says its protocol,
// what it may bring, the server, and the shape of errors and answers in each protocol. Package mount, below it, puts services behind it.
//
// What it promises:
//
//   - Whatever fails leaves with a reason of the closed list in proto/domicile/errors/v1, as a google.rpc.ErrorInfo of the domain
//     "domicile.dev", also when it is a library that refuses. The reason decides the HTTP status over REST and Connect.
//   - No text of a library and no part of a request is ever sent back: what does not come from this project is replaced.
//   - It is light, for it is linked into the edge's function: nothing of what mounts services is.
package rpc
