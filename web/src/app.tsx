// The frame around every view: where one is, who one is, and whether the server answers.

import { Component, type ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { get } from "./api";
import { Problem, useTitle } from "./components/basics";
import { usePoll } from "./poll";
import { addressOf, useAddress, type Address } from "./router";
import type { Me } from "./types";
import { ClusterView } from "./views/cluster";
import { DatabasesView } from "./views/databases";
import { NewSearchView } from "./views/new-search";
import { SearchView } from "./views/search";
import { SearchesView } from "./views/searches";

const VIEWS = [
  { view: "searches", label: "Searches" },
  { view: "new", label: "New search" },
  { view: "databases", label: "Databases" },
  { view: "cluster", label: "Cluster" },
];

export function App() {
  const address = useAddress();
  const me = usePoll<Me>("me", (signal) => get("/me", signal), () => null);
  const main = useRef<HTMLElement>(null);
  const place = [address.view, ...address.rest].join("/");
  const before = useRef(place);

  useEffect(() => {
    if (before.current !== place) main.current?.focus(); // a new view is read from its beginning
    before.current = place;
  }, [place]);

  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>
        Skip to the content
      </a>
      <header class="top">
        <a class="name" href={addressOf("searches")}>
          ElasticBLAST
        </a>
        <nav aria-label="Views">
          {VIEWS.map((each) => (
            <a key={each.view} href={addressOf(each.view)} aria-current={each.view === address.view ? "page" : undefined}>
              {each.label}
            </a>
          ))}
        </nav>
        {me.data && (
          <span class="who">
            {me.data.name}
            {me.data.roles.includes("operator") ? " (operator)" : ""}
          </span>
        )}
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {me.error?.status === 401 ? <Problem error={me.error} /> : (
          <Guard key={place}>
            <View address={address} me={me.data} />
          </Guard>
        )}
      </main>
    </>
  );
}

function View({ address, me }: { address: Address; me: Me | null }) {
  switch (address.view) {
    case "searches":
      return address.rest[0] ? <SearchView id={address.rest[0]} query={address.query} me={me} /> : <SearchesView query={address.query} me={me} />;
    case "new":
      return <NewSearchView query={address.query} />;
    case "databases":
      return <DatabasesView me={me} query={address.query} />;
    case "cluster":
      return <ClusterView me={me} />;
    default:
      return <NotHere />;
  }
}

function NotHere() {
  useTitle("Not here");
  return (
    <>
      <h1>Not here</h1>
      <p>
        There is nothing at this address. <a href={addressOf("searches")}>Searches</a>
      </p>
    </>
  );
}

/** A view that met an answer which it does not understand says so, and the other views still work. */
class Guard extends Component<{ children: ComponentChildren }, { broken: boolean }> {
  override state = { broken: false };

  static override getDerivedStateFromError(): { broken: boolean } {
    return { broken: true };
  }

  override componentDidCatch(error: unknown) {
    console.error(error);
  }

  override render() {
    if (!this.state.broken) return this.props.children;
    return (
      <div class="notice bad" role="alert">
        <p>This view cannot show what the server answered.</p>
        <p>
          <button type="button" onClick={() => location.reload()}>
            Reload the page
          </button>
        </p>
      </div>
    );
  }
}
