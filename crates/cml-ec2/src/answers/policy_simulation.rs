//! Results of IAM's policy simulation.
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html>

use roxmltree::Node;

use super::{Page, cut, xml};

/// Maximum length of a resource's name.
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html>
const ARN_CHARS: usize = 2_048;

/// IAM's result for one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// `ec2:CreateFleet`.
    pub action: String,
    /// Why IAM would refuse it; `None` when it would not.
    pub refusal: Option<String>,
}

/// Parses one page of the answer.
///
/// # Errors
/// Reason why it cannot be parsed.
pub fn read(body: &[u8]) -> Result<Page<Evaluation>, String> {
    let body = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let document = xml(body)?;
    let result = child(document.root_element(), "SimulatePrincipalPolicyResult");
    let result = result.ok_or("it has no SimulatePrincipalPolicyResult")?;
    let items = parts(result, "EvaluationResults")
        .map(|one| Evaluation { action: text(one, "EvalActionName").to_owned(), refusal: refusal(one) })
        .collect();
    let is_truncated = text(result, "IsTruncated") == "true";
    Ok(Page { items, next: is_truncated.then(|| text(result, "Marker").to_owned()) })
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.tag_name().name() == name)
}

fn text<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    child(node, name).and_then(|child| child.text()).unwrap_or_default()
}

fn parts<'a, 'input>(node: Node<'a, 'input>, name: &str) -> impl Iterator<Item = Node<'a, 'input>> {
    let list = child(node, name).into_iter().flat_map(|list| list.children());
    list.filter(|part| part.tag_name().name() == "member")
}

/// Returns why IAM would refuse, if it would. For several resources it may have a result for each, and then the summary
/// adds nothing.
fn refusal(evaluation: Node<'_, '_>) -> Option<String> {
    const ALLOWED: &str = "allowed";
    let each: Vec<Node<'_, '_>> = parts(evaluation, "ResourceSpecificResults").collect();
    let (decision, on) = if each.is_empty() {
        (text(evaluation, "EvalDecision"), text(evaluation, "EvalResourceName"))
    } else {
        let refused = each.iter().find(|one| text(**one, "EvalResourceDecision") != ALLOWED)?;
        (text(*refused, "EvalResourceDecision"), text(*refused, "EvalResourceName"))
    };
    if decision == ALLOWED {
        return None;
    }
    let forbids = |detail: &str, allowed: &str| {
        child(evaluation, detail).is_some_and(|detail| text(detail, allowed) == "false")
    };
    let why = if forbids("OrganizationsDecisionDetail", "AllowedByOrganizations") {
        "the organization's service control policy forbids it"
    } else if forbids("PermissionsBoundaryDecisionDetail", "AllowedByPermissionsBoundary") {
        "the permission boundary forbids it"
    } else if decision == "explicitDeny" {
        "a policy denies it"
    } else {
        "no policy allows it"
    };
    Some(if on.is_empty() || on == "*" { why.to_owned() } else { format!("{why} on {}", cut(on, ARN_CHARS)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates an answer like the example of the page above.
    fn answer(results: &str, end: &str) -> String {
        format!(
            r#"<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
  <SimulatePrincipalPolicyResult>{end}
    <EvaluationResults>{results}</EvaluationResults>
  </SimulatePrincipalPolicyResult>
  <ResponseMetadata><RequestId>004d7059-4c14-11e5-b121-bd8c7EXAMPLE</RequestId></ResponseMetadata>
</SimulatePrincipalPolicyResponse>"#
        )
    }

    fn member(decision: &str, more: &str) -> String {
        format!(
            "<member><MatchedStatements/><MissingContextValues/><EvalResourceName>arn:aws:x</EvalResourceName>
             <EvalDecision>{decision}</EvalDecision><EvalActionName>ec2:CreateFleet</EvalActionName>{more}</member>"
        )
    }

    fn why(decision: &str, more: &str) -> Option<String> {
        let page = read(answer(&member(decision, more), "").as_bytes()).expect("is read");
        let [one] = page.items.as_slice() else { panic!("{page:?}") };
        assert_eq!(one.action, "ec2:CreateFleet");
        one.refusal.clone()
    }

    #[test]
    fn a_refusal_says_who_refuses_what() {
        assert_eq!(why("allowed", ""), None);
        assert_eq!(why("implicitDeny", "").as_deref(), Some("no policy allows it on arn:aws:x"));
        assert_eq!(why("explicitDeny", "").as_deref(), Some("a policy denies it on arn:aws:x"));
        let organization = "<OrganizationsDecisionDetail><AllowedByOrganizations>false</AllowedByOrganizations>\
                            </OrganizationsDecisionDetail>";
        assert!(why("implicitDeny", organization).is_some_and(|why| why.contains("service control policy")));
        let boundary = "<PermissionsBoundaryDecisionDetail><AllowedByPermissionsBoundary>false\
                        </AllowedByPermissionsBoundary></PermissionsBoundaryDecisionDetail>";
        assert!(why("implicitDeny", boundary).is_some_and(|why| why.contains("permission boundary")));
    }

    #[test]
    fn what_is_said_of_each_thing_counts_more_than_the_sum() {
        let of = |first: &str, second: &str| {
            let one = |name: &str, decision: &str| {
                format!(
                    "<member><EvalResourceName>{name}</EvalResourceName>\
                     <EvalResourceDecision>{decision}</EvalResourceDecision></member>"
                )
            };
            let each = one("arn:a", first) + &one("arn:b", second);
            why("implicitDeny", &format!("<ResourceSpecificResults>{each}</ResourceSpecificResults>"))
        };
        assert_eq!(of("allowed", "allowed"), None);
        assert_eq!(of("allowed", "explicitDeny").as_deref(), Some("a policy denies it on arn:b"));
    }

    #[test]
    fn the_marker_of_the_next_page_is_read_and_no_answer_is_no_permission() {
        let next = |end: &str| read(answer("", end).as_bytes()).map(|page| page.next);
        let end = "<IsTruncated>true</IsTruncated><Marker>2</Marker>";
        assert_eq!(next(end), Ok(Some("2".to_owned())));
        let end = "<IsTruncated>false</IsTruncated>";
        assert_eq!(next(end), Ok(None));
        assert!(read(b"<Other/>").is_err() && read(b"").is_err() && read(b"\xff").is_err());
    }
}
