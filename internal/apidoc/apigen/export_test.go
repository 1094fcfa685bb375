package apigen

import (
	"context"

	"github.com/domicile-api/domicile/internal/apidoc"
)

// Raw returns what the generator writes of the contracts.
func Raw(ctx context.Context, cfg Config) (map[string][]byte, error) {
	c, err := compile(ctx, cfg.Contracts, cfg.Platform)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for name, features := range map[string]string{"rest.yaml": featuresREST, "connect.yaml": featuresConnect} {
		doc, err := plugin(cfg.Plugin).document(ctx, c, c.publicServices()["v1"], features)
		if err != nil {
			return nil, err
		}
		if out[name], err = apidoc.Encode(doc); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// SampleTexts are the messages of the examples of errors.
var SampleTexts = sampleTexts

// PublicServices returns the names of the services that documents are made of, with the platform's.
func PublicServices(ctx context.Context, cfg Config) ([]string, error) {
	c, err := compile(ctx, cfg.Contracts, cfg.Platform)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, service := range c.publicServices()["v1"] {
		names = append(names, string(service.FullName()))
	}
	return names, nil
}
