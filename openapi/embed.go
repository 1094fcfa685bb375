// Package openapi has the OpenAPI documents of the platform and of the service that it comes with, as make openapi wrote them: for each
// version the document of the REST API and of the Connect API, a bundle of the contracts and their descriptors. The regions' documents,
// beside them, are those of the default topology; a running platform lays its own regions over the global one.
package openapi

import "embed"

// Files has the documents and the changelog by version, and the overlay that they are made with.
//
//go:embed overlay.yaml v1/global.yaml v1/connect.yaml v1/proto.zip v1/descriptors.binpb changelog/v1.yaml
var Files embed.FS
