package portal

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"github.com/domicile-api/domicile/internal/topology"
)

// guide is one of the portal's guides.
type guide struct {
	// name is the last part of its path here, file where it is in Config.Guides.
	name, file, title, about string
}

// guideList has the guides for those who call the API, in the order in which one reads them.
//
//nolint:gochecknoglobals // an immutable table
var guideList = []guide{
	{"first-call", "guides/first-call.md", "First call", "a key, an endpoint, and what the answer's headers say"},
	{"endpoints", "guides/endpoints.md", "Choosing an endpoint", "a region's own, or the global name; what 421 WRONG_REGION means"},
	{"residency", "guides/residency.md", "Residency", "which fields may be where, and how the documents say it"},
	{"consistency", "guides/consistency.md", "Consistency", "tokens: read your writes across regions"},
	{"idempotency", "guides/idempotency.md", "Idempotency", "repeating a write without doing it twice"},
	{"errors", "guides/errors.md", "Errors", "one shape, a closed list of reasons, and which to repeat"},
	{"settings", "guides/settings.md", "Settings", "configuration that any region writes"},
	{"reasons", "errors.md", "Error reasons", "the list of all reasons with their status and what to do"},
}

// sources is where what is no page of the portal can be read.
const sources = "https://github.com/domicile-api/domicile/blob/main/docs/"

// guidePage is a guide, rendered.
type guidePage struct {
	guide

	Body     template.HTML
	Headings []heading
	// Foreign says that its examples call operations that the API does not have.
	Foreign bool
}

// exampleCall is a path that the guides' examples call: that of the users in the platform's own API. A product need not have it.
const exampleCall = "/v1/users"

// heading is an entry of a guide's table of contents.
type heading struct{ ID, Text string }

var comment = regexp.MustCompile(`(?s)<!--.*?-->\n?`)

// renderGuides makes HTML of the guides.
func renderGuides(cfg Config) ([]guidePage, error) {
	endpoints := endpointsIn(cfg)
	pages := make([]guidePage, 0, len(guideList))
	for _, g := range guideList {
		source, err := fs.ReadFile(cfg.Guides, g.file)
		if err != nil {
			return nil, fmt.Errorf("reading the guide %s: %w", g.file, err)
		}
		page, err := renderGuide(g, endpoints.Replace(comment.ReplaceAllString(string(source), "")))
		if err != nil {
			return nil, err
		}
		page.Foreign = bytes.Contains(source, []byte(exampleCall)) && !hasPath(cfg.Versions, exampleCall)
		pages = append(pages, page)
	}
	return pages, nil
}

// hasPath tells whether a version has a path. What cannot be read has none.
func hasPath(versions []Version, path string) bool {
	return slices.ContainsFunc(versions, func(v Version) bool {
		_, ok := headOf(v.JSON).Paths[path]
		return ok
	})
}

// endpointsIn puts the regions' own URLs where a guide has those of a platform on its reader's machine.
func endpointsIn(cfg Config) *strings.Replacer {
	local := map[string]string{
		"eu-central-1": "8081", "eu-west-1": "8082", "us-east-1": "8083", "us-west-2": "8084", "ap-southeast-1": "8085", "sa-east-1": "8086",
	}
	var pairs []string
	for _, i := range cfg.Topology.Regions() {
		if port, ok := local[string(cfg.Topology.ID(i))]; ok {
			pairs = append(pairs, "http://localhost:"+port, cfg.Topology.Endpoint(i))
		}
	}
	if cfg.GlobalURL != "" {
		pairs = append(pairs, "http://localhost:8080", cfg.GlobalURL)
	}
	return strings.NewReplacer(pairs...)
}

func renderGuide(g guide, source string) (guidePage, error) {
	page := guidePage{guide: g}
	links := linker{from: path.Dir(g.file)}
	markdown := goldmark.New(
		goldmark.WithExtensions(extension.Table),
		goldmark.WithParserOptions(parser.WithAutoHeadingID(), parser.WithASTTransformers(util.Prioritized(links, 100))),
	)
	raw := []byte(source)
	tree := markdown.Parser().Parse(text.NewReader(raw))
	for n := tree.FirstChild(); n != nil; n = n.NextSibling() {
		h, ok := n.(*ast.Heading)
		if !ok || h.Level != 2 {
			continue
		}
		if id, ok := h.AttributeString("id"); ok {
			if name, ok := id.([]byte); ok {
				page.Headings = append(page.Headings, heading{string(name), plainText(h, raw)})
			}
		}
	}
	var b bytes.Buffer
	if err := markdown.Renderer().Render(&b, raw, tree); err != nil {
		return page, fmt.Errorf("rendering the guide %s: %w", g.file, err)
	}
	// A block that is wider than the page is scrolled, which a keyboard can do only where it can go.
	body := strings.ReplaceAll(b.String(), "<pre>", `<pre tabindex="0">`)
	body = strings.ReplaceAll(body, "<table>", `<div class="wide" tabindex="0" role="region" aria-label="Table"><table>`)
	body = strings.ReplaceAll(body, "</table>", "</table></div>")
	page.Body = template.HTML(body) //nolint:gosec // Goldmark leaves raw HTML out, and the source is this project's own.
	return page, nil
}

// plainText is what a node says, without its marks.
func plainText(n ast.Node, source []byte) string {
	var b strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if t, ok := c.(*ast.Text); ok {
			b.Write(t.Segment.Value(source))
			continue
		}
		b.WriteString(plainText(c, source))
	}
	return b.String()
}

// linker makes the links between files links between pages, or to the sources where there is no page.
type linker struct{ from string }

// Transform implements parser.ASTTransformer.
func (l linker) Transform(document *ast.Document, _ text.Reader, _ parser.Context) {
	// The walk ends without an error, as its function returns none.
	_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if link, ok := n.(*ast.Link); ok && entering {
			link.Destination = []byte(l.target(string(link.Destination)))
		}
		return ast.WalkContinue, nil
	})
}

func (l linker) target(destination string) string {
	u, err := url.Parse(destination)
	if err != nil || u.Scheme != "" || u.Path == "" {
		return destination
	}
	if strings.HasPrefix(u.Path, "/") {
		return destination
	}
	fragment := ""
	if u.Fragment != "" {
		fragment = "#" + u.Fragment
	}
	file := path.Join(l.from, u.Path)
	if i := slices.IndexFunc(guideList, func(g guide) bool { return g.file == file }); i >= 0 {
		return "/docs/guides/" + guideList[i].name + fragment
	}
	base, err := url.Parse(sources)
	if err != nil {
		return destination
	}
	return base.JoinPath(file).String() + fragment
}

// placesOf lists the regions for a page.
func placesOf(t *topology.Topology) []*place {
	out := make([]*place, 0, t.Len())
	for _, i := range t.Regions() {
		r := t.Region(i)
		out = append(out, &place{
			ID: r.GetId(), Place: r.GetPlace(), Jurisdiction: r.GetJurisdiction(), URL: r.GetEndpoint(), Standby: r.GetStandby(),
			Roles: strings.Join(rolesOf(t, i), ", "),
		})
	}
	return out
}
