/// Four replicas, one of which leads.
let dashboardIcon = #"""
    <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">
      <rect width="16" height="16" rx="3" fill="#1f5fbf"/>
      <path d="M5 2 8 5 5 8 2 5z" fill="#fff"/>
      <circle cx="11" cy="5" r="2" fill="#fff"/>
      <circle cx="5" cy="11" r="2" fill="#fff"/>
      <circle cx="11" cy="11" r="2" fill="#fff"/>
    </svg>
    """#
