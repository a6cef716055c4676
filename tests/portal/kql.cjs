// Parses and checks queries with Microsoft's own parser of the Kusto query language (KQL).
//
// Standard input: {"tables": {name: "(column: type, ...)"}, "queries": {name: text}}. Standard output, for each query:
// `errors` of grammar and of names that nothing defines, the `tables` that it reads, the string literals that it compares
// the event's name with (`events`), the paths below `e` that it reads (`fields`), and the columns that it gives.
"use strict";
const quiet = console.log;
console.log = () => {};
require("@kusto/language-service-next/bridge.min.js");
require("@kusto/language-service-next/Kusto.Language.Bridge.min.js");
console.log = quiet;

const { Symbols, Syntax, GlobalState, KustoCode } = Kusto.Language;
const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const tables = Object.entries(input.tables).map(([name, columns]) => Symbols.TableSymbol.From(columns).WithName(name));
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("workspace", tables));

function listed(list) {
  return Array.from({ length: list.Count }, (_, index) => list.getItem(index));
}

// "e.counts.kube_calls" -> "counts.kube_calls"; undefined for a path below something else.
function pathOf(node) {
  if (!(node instanceof Syntax.PathExpression)) return undefined;
  const before = node.Expression.toString().trim();
  const selector = node.Selector.toString().trim();
  if (before === "e") return selector;
  const path = pathOf(node.Expression);
  return path === undefined ? undefined : `${path}.${selector}`;
}

function read(text) {
  const code = KustoCode.ParseAndAnalyze(text, globals);
  const errors = listed(code.GetDiagnostics()).filter((each) => each.Severity === "Error");
  const found = { tables: new Set(), events: new Set(), fields: new Set() };
  Syntax.SyntaxElement.WalkNodes(code.Syntax, (node) => {
    const path = pathOf(node);
    if (path !== undefined && pathOf(node.Parent) === undefined) found.fields.add(path);
    if (node instanceof Syntax.NameReference && node.ReferencedSymbol instanceof Symbols.TableSymbol) {
      if (node.SimpleName in input.tables) found.tables.add(node.SimpleName);
    }
    const isComparison = node instanceof Syntax.BinaryExpression || node instanceof Syntax.InExpression;
    if (isComparison && node.Left.toString().trim() === "tostring(e.event)") {
      Syntax.SyntaxElement.WalkNodes(node.Right, (literal) => {
        if (literal instanceof Syntax.LiteralExpression) found.events.add(literal.LiteralValue);
      });
    }
  });
  const columns = code.ResultType instanceof Symbols.TableSymbol ? listed(code.ResultType.Columns) : [];
  return {
    errors: errors.map((each) => `${each.Message} (at ${each.Start})`),
    tables: [...found.tables].sort(),
    events: [...found.events].sort(),
    fields: [...found.fields].sort(),
    columns: columns.map((column) => column.Name),
  };
}

const answer = Object.fromEntries(Object.entries(input.queries).map(([name, text]) => [name, read(text)]));
process.stdout.write(JSON.stringify(answer));
