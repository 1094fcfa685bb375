// Package developers makes the portals of a platform: it lays each region's part over the product's OpenAPI documents and puts them, with the
// guides, into internal/portal.
package developers

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/domicile-api/domicile/docs"
	"github.com/domicile-api/domicile/internal/apidoc"
	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/portal"
)

// documents are those of a product.
type documents struct {
	// set is nil if the product has none: its portals show the guides alone.
	set *apidoc.Set
	// releases are the changelog of the newest version.
	releases []portal.Release
}

// New reads a product's documents, as its openapi folder embeds them; nil: it has none. What cannot be read is an error that names the file.
func New(files fs.FS) (app.Portal, error) {
	d := &documents{}
	if files != nil {
		var err error
		if d.set, err = apidoc.Read(files); err != nil {
			return nil, fmt.Errorf("reading the product's OpenAPI documents: %w", err)
		}
		if d.releases, err = releases(files, d.set.Versions[len(d.set.Versions)-1].Name); err != nil {
			return nil, err
		}
	}
	return d.portal, nil
}

// portal makes the portal of a site.
func (d *documents) portal(s app.Site) (http.Handler, error) {
	versions, err := d.versions(s)
	if err != nil {
		return nil, err
	}
	return portal.New(portal.Config{
		Topology: s.Topology, Region: s.Region, GlobalURL: s.GlobalURL, Versions: versions, Guides: docs.Guides, Clock: s.Clock, Releases: d.releases,
		Look: func(ctx context.Context) (ident.RegionID, map[ident.RegionID]portal.Sight) {
			from, seen := s.Look(ctx)
			out := make(map[ident.RegionID]portal.Sight, len(seen))
			for id, sight := range seen {
				out[id] = portal.Sight(sight)
			}
			return from, out
		},
	})
}

// versions are the site's documents, the newest first.
func (d *documents) versions(s app.Site) ([]portal.Version, error) {
	if d.set == nil {
		return nil, nil
	}
	all := d.set.Versions
	out := make([]portal.Version, 0, len(all))
	for _, read := range slices.Backward(all) {
		v := portal.Version{Name: read.Name, Protos: read.Bundle, Descriptors: read.Descriptors}
		rest, err := layered(read.Global, s)
		if err != nil {
			return nil, fmt.Errorf("making the document of %s: %w", read.Name, err)
		}
		connect, err := layered(read.Connect, s)
		if err != nil {
			return nil, fmt.Errorf("making the Connect document of %s: %w", read.Name, err)
		}
		if v.YAML, err = apidoc.Encode(rest); err != nil {
			return nil, err
		}
		if v.JSON, err = json.Marshal(rest); err != nil {
			return nil, fmt.Errorf("writing the document of %s: %w", read.Name, err)
		}
		if v.Connect, err = apidoc.Encode(connect); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// layered is a document with the site's part, without what the process does not run.
func layered(base *openapi3.T, s app.Site) (*openapi3.T, error) {
	doc, err := apidoc.Layer(base, s.Topology, s.Topology.ID(s.Region))
	if err != nil || s.Services == nil {
		return doc, err
	}
	return apidoc.Only(doc, s.Services)
}
