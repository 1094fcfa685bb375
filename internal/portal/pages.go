package portal

import (
	"bytes"
	"fmt"
	"html/template"

	"github.com/domicile-api/domicile/internal/topology"
)

// place is a region in a list.
type place struct{ ID, Place, Jurisdiction, URL, Standby, Roles string }

// frame is what every page shows.
type frame struct {
	// Base is the folder of scripts and styles.
	Base string
	// Title is the page's own, At its path.
	Title, At string
	// Product is the API's name.
	Product string
	// Home is the portal's region; nil at the global name.
	Home    *place
	Places  []*place
	URL     string
	Changes bool
	// Versions are those that have a document, the newest first.
	Versions []versionView
	Guides   []guide
}

type versionView struct {
	Name  string
	Links []linkView
}

type linkView struct{ Path, Title string }

// Name and the others are for templates.
func (g guide) Name() string  { return g.name }
func (g guide) Title() string { return g.title }
func (g guide) About() string { return g.about }

// content is a page: its frame and what is its own.
type content struct {
	frame

	Lead     string
	Dots     string
	Markers  []marker
	Guide    guidePage
	Releases []Release
}

// addPages renders all pages.
func (p *Portal) addPages(files *fileSet) error {
	guides, err := renderGuides(p.cfg)
	if err != nil {
		return err
	}
	c := content{frame: p.frame(files), Lead: p.lead(), Releases: p.cfg.Releases}
	front := c
	front.Dots, front.Markers = worldDots(), markers(p.cfg.Topology, p.cfg.Region)
	pages := []struct {
		at, title, file string
		content         content
	}{
		{"/docs", p.title(), "front.html", front},
		{"/docs/reference", "Reference", "reference.html", c},
		{"/docs/guides", "Guides", "guides.html", c},
	}
	if len(c.Releases) > 0 {
		pages = append(pages, struct {
			at, title, file string
			content         content
		}{"/docs/changelog", "Changes", "changelog.html", c})
	}
	for _, g := range guides {
		one := c
		one.Guide = g
		pages = append(pages, struct {
			at, title, file string
			content         content
		}{"/docs/guides/" + g.name, g.title, "guide.html", one})
	}
	for _, page := range pages {
		page.content.At, page.content.Title = page.at, page.title
		if p.resources[page.at], err = render(page.file, page.content); err != nil {
			return err
		}
	}
	c.Title = "Nothing here"
	p.missing, err = render("missing.html", c)
	return err
}

func (p *Portal) frame(files *fileSet) frame {
	f := frame{
		Base: files.base, Product: p.title(), Places: placesOf(p.cfg.Topology), URL: p.url(), Changes: len(p.cfg.Releases) > 0, Guides: guideList,
	}
	if p.cfg.Topology.Has(p.cfg.Region) {
		f.Home = f.Places[p.cfg.Region]
	}
	for _, v := range p.cfg.Versions {
		view := versionView{Name: v.Name}
		for _, d := range v.documents() {
			if len(d.content) > 0 {
				view.Links = append(view.Links, linkView{"/openapi/" + v.Name + d.suffix, d.title})
			}
		}
		f.Versions = append(f.Versions, view)
	}
	return f
}

func render(file string, c content) (*resource, error) {
	t, err := template.ParseFS(templates, "pages/frame.html", "pages/"+file)
	if err != nil {
		return nil, fmt.Errorf("reading the page %s: %w", file, err)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "frame.html", c); err != nil {
		return nil, fmt.Errorf("rendering the page %s: %w", file, err)
	}
	r, err := newResource("text/html; charset=utf-8", cacheRevalidate, b.Bytes())
	if err != nil {
		return nil, err
	}
	r.page = true
	return r, nil
}

// title is the API's name as its document says it.
func (p *Portal) title() string {
	for _, v := range p.cfg.Versions {
		if name := headOf(v.JSON).Info.Title; name != "" {
			return name
		}
	}
	return "API"
}

// lead says in a sentence where the reader is.
func (p *Portal) lead() string {
	if p.cfg.Topology.Has(p.cfg.Region) {
		r := p.cfg.Topology.Region(p.cfg.Region)
		return fmt.Sprintf("An API in %s. This is %s (%s), jurisdiction %s, at %s.",
			regionCount(p.cfg.Topology), nameOf(r.GetPlace(), r.GetId()), r.GetId(), r.GetJurisdiction(), p.url())
	}
	return fmt.Sprintf("An API in %s. This is the global name: each call comes in at the region nearest to its caller.", regionCount(p.cfg.Topology))
}

func nameOf(placeName, id string) string {
	if placeName == "" {
		return id
	}
	return placeName
}

func regionCount(t *topology.Topology) string {
	if t.Len() == 1 {
		return "one region"
	}
	return fmt.Sprintf("%d regions", t.Len())
}
