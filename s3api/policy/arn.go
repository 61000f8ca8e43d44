package policy

import "strings"

// arnSegments is how many parts an ARN has:
// arn:partition:service:region:account:resource. The last may hold colons.
const arnSegments = 6

// arn is a pattern of ARNs. Each segment is matched for itself, so that no wildcard
// reaches over a colon but in the last.
type arn [arnSegments]pattern

// compileARN reads a pattern of ARNs. One that is too short is completed by
// wildcards, as Amazon does; so "*" is every ARN.
func compileARN(text string, s syntax) (a arn, err error) {
	p, err := compile(text, s)
	if err != nil {
		return a, err
	}
	at := 0
	for _, t := range p {
		for t.kind == literal && at < arnSegments-1 {
			before, after, ok := strings.Cut(t.text, ":")
			if !ok {
				break
			}
			if before != "" {
				a[at] = a[at].add(token{text: before})
			}
			at++
			t.text = after
		}
		if t.kind != literal || t.text != "" {
			a[at] = a[at].add(t)
		}
	}
	for at++; at < arnSegments; at++ {
		a[at] = pattern{{kind: star}}
	}
	return a, nil
}

// match reports whether s is one of the ARNs.
func (a *arn) match(c *Context, s string) bool {
	for i := range a {
		segment := s
		if i < arnSegments-1 {
			var ok bool
			if segment, s, ok = strings.Cut(s, ":"); !ok {
				return false
			}
		}
		p, ok := a[i].bind(c)
		if !ok || !p.match(segment) {
			return false
		}
	}
	return true
}

// fixed reports whether the segments of partition, service, region and account are
// those, without any wildcard.
func (a *arn) fixed(prefix ...string) bool {
	for i, want := range prefix {
		if len(a[i]) > 1 || len(a[i]) == 1 && a[i][0].kind != literal || a[i].text() != want {
			return false
		}
	}
	return true
}

// s3Resource is a resource of a bucket's policy, or "*".
func (a *arn) s3Resource() bool {
	return a.fixed("arn", "aws", "s3", "", "") && len(a[arnSegments-1]) > 0
}

// bucketPart is the pattern of the bucket's name, where it ends before a slash.
func (a *arn) bucketPart() (p pattern, slash bool) {
	for _, t := range a[arnSegments-1] {
		switch t.kind {
		case literal:
			before, _, ok := strings.Cut(t.text, "/")
			if before != "" {
				p = p.add(token{text: before})
			}
			if ok {
				return p, true
			}
		case variable:
			p = append(p, token{kind: star}) // may be anything
		default:
			p = append(p, t)
		}
	}
	return p, false
}

// inBucket reports whether the pattern can be that of the bucket or of objects in it.
func (a *arn) inBucket(name string) bool {
	p, _ := a.bucketPart()
	if p.match(name) {
		return true
	}
	for i := range p { // a star may reach over the slash
		if p[i].kind == star && p[:i+1].match(name+"/") {
			return true
		}
	}
	return false
}

// resources says which kinds of S3's resources the pattern can name.
func (a *arn) resources() resource {
	_, slash := a.bucketPart()
	if slash {
		return objects
	}
	for _, t := range a[arnSegments-1] {
		if t.kind == star || t.kind == variable {
			return buckets | objects
		}
	}
	return buckets
}
