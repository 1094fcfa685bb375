// Package thirdparty has the contracts of others that the platform's and its products' import, with their licenses.
package thirdparty

import "embed"

// Files are the contracts, each of another project in a folder of its own.
//
//go:embed googleapis protovalidate
var Files embed.FS
