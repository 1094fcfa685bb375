//go:build contract

// Package contract calls a running platform with other people's clients. It needs tools that are built from tools/, so it is not a
// part of make test.
package contract

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/domiciletest"
	"github.com/domicile-api/domicile/services"
)

const getUser = "domicile.profile.v1.ProfileService/GetUser"

// run runs a command at the repository's root and returns what it wrote to standard output.
func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = filepath.Join("..", "..")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, &stderr)
	}
	return out
}

func goTool(t *testing.T, module string, args ...string) []byte {
	t.Helper()
	return run(t, "go", append([]string{"tool", "-modfile=" + module}, args...)...)
}

// TestOtherClients creates a user through Virginia and reads it with curl, grpcurl and buf curl over each protocol, through
// every region: all get the same user.
func TestOtherClients(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	key := "Authorization: Bearer " + p.DemoKey("acme-eu")
	edge := p.Endpoint("us-east-1")
	var want map[string]any
	decode(t, run(t, "curl", "-sS", "--fail-with-body", edge+"/v1/users", "-H", key, "-H", "Content-Type: application/json",
		"-d", `{"givenName":"Ada","familyName":"Lovelace","email":"ada@example.com","locale":"en-GB"}`), &want)
	id, _ := want["id"].(string)
	body := `{"id":"` + id + `"}`
	for _, region := range p.Regions() {
		url := p.Endpoint(region)
		address := strings.TrimPrefix(url, "http://")
		for name, out := range map[string][]byte{
			"curl REST":         run(t, "curl", "-sS", "--fail-with-body", url+"/v1/users/"+id, "-H", key),
			"curl Connect":      run(t, "curl", "-sS", "--fail-with-body", url+"/"+getUser, "-H", key, "-H", "Content-Type: application/json", "-d", body),
			"grpcurl":           goTool(t, "tools/grpcurl/go.mod", "grpcurl", "-plaintext", "-H", key, "-d", body, address, getUser),
			"buf curl gRPC":     bufCurl(t, "grpc", url, key, body),
			"buf curl gRPC-Web": bufCurl(t, "grpcweb", url, key, body),
			"buf curl Connect":  bufCurl(t, "connect", url, key, body),
		} {
			var got map[string]any
			decode(t, out, &got)
			if inner, ok := got["user"].(map[string]any); ok {
				got = inner
			}
			for _, field := range []string{"id", "email", "givenName", "etag", "createTime"} {
				if got[field] != want[field] {
					t.Errorf("%s through %s: %s is %v instead of %v", name, region, field, got[field], want[field])
				}
			}
		}
	}
}

// TestReflection lists and describes the services as grpcurl does.
func TestReflection(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	address := strings.TrimPrefix(p.Endpoint("sa-east-1"), "http://")
	list := string(goTool(t, "tools/grpcurl/go.mod", "grpcurl", "-plaintext", address, "list"))
	for _, service := range []string{"domicile.profile.v1.ProfileService", "domicile.tenancy.v1.TenancyService", "grpc.health.v1.Health"} {
		if !strings.Contains(list, service) {
			t.Errorf("grpcurl list has no %s:\n%s", service, list)
		}
	}
	described := string(goTool(t, "tools/grpcurl/go.mod", "grpcurl", "-plaintext", address, "describe", "domicile.profile.v1.User"))
	if !strings.Contains(described, "DATA_CLASS_PII") {
		t.Errorf("grpcurl describe does not show the data classes:\n%s", described)
	}
	health := string(goTool(t, "tools/grpcurl/go.mod", "grpcurl", "-plaintext", address, "grpc.health.v1.Health/Check"))
	if !strings.Contains(health, "SERVING") {
		t.Errorf("the health service says %s", health)
	}
}

func bufCurl(t *testing.T, protocol, url, key, body string) []byte {
	t.Helper()
	args := []string{"buf", "curl", "--protocol", protocol, "-H", key, "-d", body}
	if protocol != "connect" {
		args = append(args, "--http2-prior-knowledge")
	}
	return goTool(t, "tools/go.mod", append(args, "--schema", "proto", url+"/"+getUser)...)
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("not JSON: %v: %s", err, data)
	}
}

// TestConformance runs the Connect conformance suite: all that passes directly passes through an edge.
func TestConformance(t *testing.T) {
	t.Parallel()
	out := run(t, "bash", "test/conformance/run.sh")
	for line := range strings.SplitSeq(string(out), "\n") {
		if strings.Contains(line, "Total cases") || strings.Contains(line, "passed") {
			t.Log(line)
		}
	}
}
