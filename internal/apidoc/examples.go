package apidoc

import (
	"encoding/base64"
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
)

// examples makes the examples of errors name a region that there is, where they name one.
func (l layer) examples(doc *openapi3.T) error {
	home := l.elsewhere()
	for _, ref := range doc.Components.Examples {
		if ref.Value == nil {
			continue
		}
		body, _ := ref.Value.Value.(map[string]any)
		details, _ := body["details"].([]any)
		for _, detail := range details {
			d, _ := detail.(map[string]any)
			info := d
			debug, overConnect := d["debug"].(map[string]any)
			if overConnect {
				info = debug
			}
			metadata, _ := info["metadata"].(map[string]any)
			if metadata["home_region"] != nil {
				metadata["home_region"] = string(l.topo.ID(home))
			}
			if metadata["home_endpoint"] != nil {
				metadata["home_endpoint"] = l.topo.Endpoint(home)
			}
			if overConnect && metadata != nil {
				if err := sealDetail(d, info, metadata); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// sealDetail makes the binary form of an error's detail say what its JSON says. The platform writes the metadata in any order; here it is
// always the same.
func sealDetail(detail, info, metadata map[string]any) error {
	message := &errdetails.ErrorInfo{Metadata: make(map[string]string, len(metadata))}
	message.Reason, _ = info["reason"].(string)
	message.Domain, _ = info["domain"].(string)
	for key, value := range metadata {
		message.Metadata[key], _ = value.(string)
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return fmt.Errorf("writing the example of %s: %w", message.GetReason(), err)
	}
	detail["value"] = base64.RawStdEncoding.EncodeToString(data)
	return nil
}
