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
