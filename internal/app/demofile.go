package app

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/domicile-api/domicile/internal/durablefile"
)

// DemoFile is the form of DIR/demo.json, by which commands and tests find a running dev platform, and of DIR/operator.json,
// which serve writes and which names no tenants.
type DemoFile struct {
	// Server is the URL of the operations port.
	Server string `json:"server"`
	// OperatorKey is a credential for operators' calls.
	OperatorKey string `json:"operator_key"`
	// Tenants are the demonstration tenants.
	Tenants []DemoTenant `json:"tenants"`
	// Cloud says where the platform's stores are when they are not in the folder of this file; nil: they are.
	Cloud *DemoCloud `json:"cloud,omitempty"`
}

// DemoCloud says where a platform on AWS keeps its stores, for who looks at them without it.
type DemoCloud struct {
	// Deployment is the deployment's name.
	Deployment string `json:"deployment"`
	// Endpoint is where AWS is reached, if that is an emulator; credentials are not in the file.
	Endpoint string `json:"endpoint,omitempty"`
}

// DemoTenant is one demonstration tenant and its key.
type DemoTenant struct {
	// ID is the tenant's id.
	ID string `json:"id"`
	// Home is the id of its home region.
	Home string `json:"home"`
	// APIKey is a whole API key of the tenant.
	APIKey string `json:"api_key"`
}

const (
	demoFileName     = "demo.json"
	operatorFileName = "operator.json"
)

// ReadDemoFile reads DIR/demo.json.
func ReadDemoFile(dir string) (DemoFile, error) {
	return readDemoFile(filepath.Join(dir, demoFileName))
}

// ReadNewestFile reads what was written last of both: whoever runs serve on a folder that dev had used, or the other way round, means the
// platform that was started last.
func ReadNewestFile(dir string) (DemoFile, error) {
	demo, operator := filepath.Join(dir, demoFileName), filepath.Join(dir, operatorFileName)
	d, err := os.Stat(demo)
	if err != nil {
		if _, err := os.Stat(operator); err != nil {
			return readDemoFile(demo)
		}
		return readDemoFile(operator)
	}
	if o, err := os.Stat(operator); err == nil && o.ModTime().After(d.ModTime()) {
		return readDemoFile(operator)
	}
	return readDemoFile(demo)
}

func readDemoFile(path string) (DemoFile, error) {
	data, err := os.ReadFile(path) //nolint:gosec // The operator names the folder.
	if err != nil {
		return DemoFile{}, fmt.Errorf("reading a platform's address and keys: %w", err)
	}
	var d DemoFile
	if err := json.Unmarshal(data, &d); err != nil {
		return DemoFile{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return d, nil
}

// write keeps the file readable by its owner alone.
func (d DemoFile) write(path string) error {
	data, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making the folder of %s: %w", path, err)
	}
	return durablefile.Replace(path, append(data, '\n'), 0o600)
}
