package rpc

import (
	"slices"
	"strings"
)

// Infrastructure returns the full names of the services that every region answers itself: gRPC's health and its two reflections.
func Infrastructure() []string {
	return []string{"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}
}

// IsInfrastructure tells whether a path is that of the health or the reflection service, which every region answers itself.
func IsInfrastructure(path string) bool {
	return strings.HasPrefix(path, "/grpc.") && IsProcedure(path) && slices.ContainsFunc(Infrastructure(), func(service string) bool {
		return strings.HasPrefix(path[1:], service+"/")
	})
}

// The catalogues by which programs find the API: RFC 9727's, and that of llmstxt.org.
const (
	PathCatalog = "/.well-known/api-catalog"
	PathLLMs    = "/llms.txt"
)

// IsDocumentation tells whether a path is one of the pages and documents for developers, which every region answers itself unless a
// service of the product has the path.
func IsDocumentation(path string) bool {
	switch path {
	case "/docs", "/openapi", "/openapi.yaml", "/openapi.json", PathCatalog, PathLLMs:
		return true
	default:
		return strings.HasPrefix(path, "/docs/") || strings.HasPrefix(path, "/openapi/")
	}
}
