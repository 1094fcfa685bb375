package portal

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/domicile-api/domicile/internal/rpc"
)

// The types of what is served. application/yaml is RFC 9512's.
const (
	typeYAML        = "application/yaml"
	typeJSON        = "application/json"
	typeZip         = "application/zip"
	typeDescriptors = "application/x-protobuf"
	typeText        = "text/plain; charset=utf-8"
	typeCatalog     = `application/linkset+json; profile="https://www.rfc-editor.org/info/rfc9727"`
)

// addDocuments puts the documents of all versions at their paths, and what lists them.
func (p *Portal) addDocuments() error {
	for n, v := range p.cfg.Versions {
		at := "/openapi/" + v.Name
		for _, d := range v.documents() {
			if err := p.add(at+d.suffix, d.contentType, d.content); err != nil {
				return err
			}
			if short, ok := strings.CutPrefix(d.suffix, "."); ok && n == 0 {
				if err := p.add("/openapi."+short, d.contentType, d.content); err != nil {
					return err
				}
			}
		}
	}
	catalog, err := json.Marshal(p.catalog())
	if err != nil {
		return fmt.Errorf("portal: writing the catalogue: %w", err)
	}
	if err := p.add(rpc.PathCatalog, typeCatalog, catalog); err != nil {
		return err
	}
	return p.add(rpc.PathLLMs, typeText, []byte(p.llms()))
}

func (p *Portal) add(path, contentType string, content []byte) error {
	if len(content) == 0 {
		return nil
	}
	r, err := newResource(contentType, cacheRevalidate, content)
	if err != nil {
		return err
	}
	p.resources[path] = r
	return nil
}

// document is one form of a version, at "/openapi/" + version + suffix.
type document struct {
	suffix, contentType, title string
	content                    []byte
}

func (v Version) documents() []document {
	return []document{
		{".yaml", typeYAML, "OpenAPI, YAML", v.YAML},
		{".json", typeJSON, "OpenAPI, JSON", v.JSON},
		{"/connect.yaml", typeYAML, "OpenAPI of the Connect paths", v.Connect},
		{"/proto.zip", typeZip, "Protobuf contracts", v.Protos},
		{"/descriptors.binpb", typeDescriptors, "Protobuf descriptor set", v.Descriptors},
	}
}

// url is the portal's own, without a slash at its end.
func (p *Portal) url() string {
	switch {
	case p.cfg.Topology.Has(p.cfg.Region):
		return p.cfg.Topology.Endpoint(p.cfg.Region)
	case p.cfg.GlobalURL != "":
		return p.cfg.GlobalURL
	default:
		return p.cfg.Topology.Endpoint(p.cfg.Topology.Control())
	}
}

// linkset is a set of links as RFC 9264 writes it: relation by relation.
type linkset struct {
	Linkset []map[string]any `json:"linkset"`
}

type link struct {
	Href  string `json:"href"`
	Type  string `json:"type,omitempty"`
	Title string `json:"title,omitempty"`
}

// catalog is the API catalogue of RFC 9727: the versions here, and the catalogues of the other regions.
func (p *Portal) catalog() linkset {
	at := p.url()
	out := linkset{Linkset: []map[string]any{}}
	for _, v := range p.cfg.Versions {
		entry := map[string]any{"anchor": at + "/" + v.Name, "service-doc": []link{{Href: at + "/docs", Type: "text/html"}}}
		var described, meta []link
		for _, d := range v.documents() {
			if len(d.content) == 0 {
				continue
			}
			l := link{Href: at + "/openapi/" + v.Name + d.suffix, Type: d.contentType, Title: d.title}
			if d.contentType == typeYAML || d.contentType == typeJSON {
				described = append(described, l)
			} else {
				meta = append(meta, l)
			}
		}
		for relation, links := range map[string][]link{"service-desc": described, "service-meta": meta} {
			if len(links) > 0 {
				entry[relation] = links
			}
		}
		out.Linkset = append(out.Linkset, entry)
	}
	var others []link
	for _, i := range p.cfg.Topology.Regions() {
		if i != p.cfg.Region {
			others = append(others, link{
				Href: p.cfg.Topology.Endpoint(i) + rpc.PathCatalog, Type: "application/linkset+json", Title: p.cfg.Topology.Region(i).GetPlace(),
			})
		}
	}
	if len(others) > 0 {
		out.Linkset = append(out.Linkset, map[string]any{"anchor": at + rpc.PathCatalog, "api-catalog": others})
	}
	return out
}

// llms is the index for language models, in the form of llmstxt.org.
func (p *Portal) llms() string {
	var b strings.Builder
	at := p.url()
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) } // A Builder never fails.
	line("# %s", p.title())
	line("\n> %s", p.lead())
	line("\nCalls bring a tenant's API key as Authorization: Bearer. A tenant's data is at home in one region; answers say in Domicile-Region")
	line("which region answered. A refusal with WRONG_REGION names the endpoint to call instead.")
	if len(p.cfg.Versions) > 0 {
		line("\n## Documents\n")
	}
	for _, v := range p.cfg.Versions {
		for _, d := range v.documents() {
			if len(d.content) > 0 {
				line("- [%s %s](%s/openapi/%s%s)", v.Name, d.title, at, v.Name, d.suffix)
			}
		}
	}
	line("\n## Guides\n")
	for _, g := range guideList {
		line("- [%s](%s/docs/guides/%s): %s", g.title, at, g.name, g.about)
	}
	line("\n## Regions\n")
	for _, i := range p.cfg.Topology.Regions() {
		r := p.cfg.Topology.Region(i)
		line("- [%s, %s](%s/docs): jurisdiction %s", r.GetId(), r.GetPlace(), p.cfg.Topology.Endpoint(i), r.GetJurisdiction())
	}
	return b.String()
}

// head is what the pages themselves need of a document.
type head struct {
	Info struct {
		Title string `json:"title"`
	} `json:"info"`
	Servers []struct {
		URL string `json:"url"`
	} `json:"servers"`
	Paths map[string]json.RawMessage `json:"paths"`
}

// headOf reads it; of what is no document it is empty.
func headOf(document []byte) head {
	var h head
	if err := json.Unmarshal(document, &h); err != nil {
		return head{}
	}
	return h
}
