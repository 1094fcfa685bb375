// Package proto has the platform's contracts as files, for tools that read no descriptors: buf, protoc.
package proto

import "embed"

// Files are the contracts by the paths that imports name.
//
//go:embed domicile
var Files embed.FS
