//! JSON Patch (RFC 6902), as far as Ironic's clients use it: add, replace, remove, test.

use serde_json::{Map, Value};

use super::Failure;

/// More operations than this are no edit.
const OPERATIONS_LIMIT: usize = 1000;
/// Keys of one path. `add` makes the objects on its way, and a document nested
/// deeper than the store's parser goes would be lost with all that hangs on it.
const KEYS_LIMIT: usize = 25;

/// Apply `patch` to `document`, all of it or nothing.
pub(super) fn apply(document: &Map<String, Value>, patch: &Value) -> Result<Map<String, Value>, Failure> {
    let operations = patch.as_array().filter(|operations| operations.len() <= OPERATIONS_LIMIT);
    let operations =
        operations.ok_or_else(|| Failure::bad_request("A JSON patch is a list of operations."))?;
    let mut changed = Value::Object(document.clone());
    for operation in operations {
        let text = |key: &str| operation.get(key).and_then(Value::as_str);
        let (Some(op), Some(path)) = (text("op"), text("path")) else {
            return Err(Failure::bad_request("Every operation of a JSON patch has \"op\" and \"path\"."));
        };
        one(&mut changed, op, path, operation.get("value"))?;
    }
    changed.as_object().cloned().ok_or_else(|| Failure::bad_request("The patch leaves no object."))
}

fn one(document: &mut Value, op: &str, path: &str, value: Option<&Value>) -> Result<(), Failure> {
    let bad =
        |words: &str| Failure::bad_request(format!("Couldn't apply patch '{op} {path}'. Reason: {words}"));
    let path = path.strip_prefix('/').ok_or_else(|| bad("a path begins with /"))?;
    if path.split('/').count() > KEYS_LIMIT {
        return Err(Failure::bad_request(format!("A path of a patch has more than {KEYS_LIMIT} keys.")));
    }
    let keys: Vec<String> = path.split('/').map(|key| key.replace("~1", "/").replace("~0", "~")).collect();
    let (last, parents) = keys.split_last().ok_or_else(|| bad("the path is empty"))?;
    let mut parent = document;
    for key in parents {
        // Ironic lets `add /driver_info/x` create a driver_info that is not set yet.
        let missing = matches!(parent, Value::Object(map) if !map.contains_key(key));
        if missing && op == "add" {
            parent[key.as_str()] = Value::Object(Map::new());
        }
        parent = match parent {
            Value::Array(items) => key.parse::<usize>().ok().and_then(|at| items.get_mut(at)),
            Value::Object(map) => map.get_mut(key),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
        .ok_or_else(|| bad("there is no such path"))?;
    }
    let value = || value.cloned().ok_or_else(|| bad("a value is needed"));
    match (op, parent) {
        ("add" | "replace", Value::Object(map)) => {
            map.insert(last.clone(), value()?);
        }
        ("add", Value::Array(items)) if last == "-" => items.push(value()?),
        ("add", Value::Array(items)) => {
            let at = last.parse().ok().filter(|at| *at <= items.len()).ok_or_else(|| bad("no such index"))?;
            items.insert(at, value()?);
        }
        ("replace", Value::Array(items)) => {
            let item = last.parse::<usize>().ok().and_then(|at| items.get_mut(at));
            *item.ok_or_else(|| bad("no such index"))? = value()?;
        }
        ("remove", Value::Object(map)) => {
            map.remove(last).ok_or_else(|| bad("can't remove a non-existent object"))?;
        }
        ("remove", Value::Array(items)) => {
            let at = last.parse().ok().filter(|at| *at < items.len()).ok_or_else(|| bad("no such index"))?;
            items.remove(at);
        }
        ("test", parent) => {
            if parent.get(last) != value().ok().as_ref() {
                return Err(bad("the test failed"));
            }
        }
        _ => return Err(bad("only add, replace, remove and test are served")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(patch: &Value) -> Result<Value, String> {
        let document = json!({"driver_info": {"a": 1}, "extra": {"list": [1, 2]}, "name": "n"});
        let document = document.as_object().cloned().expect("an object");
        apply(&document, patch).map(Value::Object).map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_clients_send_is_applied() {
        for (patch, pointer, want) in [
            (json!([{"op": "add", "path": "/driver_info/b~1c", "value": 2}]), "/driver_info/b~1c", json!(2)),
            (
                json!([{"op": "add", "path": "/instance_info/capabilities", "value": {}}]),
                "/instance_info/capabilities",
                json!({}),
            ),
            (json!([{"op": "replace", "path": "/name", "value": "m"}]), "/name", json!("m")),
            (json!([{"op": "add", "path": "/extra/list/-", "value": 3}]), "/extra/list/2", json!(3)),
            (json!([{"op": "remove", "path": "/extra/list/0"}]), "/extra/list/0", json!(2)),
        ] {
            assert_eq!(patched(&patch).expect("good").pointer(pointer), Some(&want), "{patch}");
        }
        assert_eq!(patched(&json!([{"op": "remove", "path": "/name"}])).expect("good").get("name"), None);
    }

    #[test]
    fn what_makes_no_sense_changes_nothing() {
        for patch in [
            json!({}),
            json!([{}]),
            json!([{"op": "add", "path": "name", "value": 1}]),
            json!([{"op": "add", "path": "/name/x/y", "value": 1}]),
            json!([{"op": "remove", "path": "/nothing"}]),
            json!([{"op": "move", "path": "/name", "from": "/x"}]),
            json!([{"op": "add", "path": "/name"}]),
            json!([{"op": "add", "path": "/extra/list/9", "value": 1}]),
            json!([{"op": "test", "path": "/name", "value": "x"}]),
            // Deep enough to end the process by recursion, if it were built.
            json!([{"op": "add", "path": format!("/extra{}", "/a".repeat(200_000)), "value": 1}]),
        ] {
            assert!(patched(&patch).is_err(), "{patch}");
        }
    }
}
